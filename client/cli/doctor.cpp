// doctor: what keeps this machine from the grid, and how to mend it.
//
// Exit codes: 0 when there is nothing to mend, 1 when there is; so a script may say
// `zgrid doctor || …`. Skipped checks are nothing to mend.
#include "client/cli/doctor.h"

#include "client/cli/text.h"

namespace zgrid::cli {
namespace {

struct Shown {
  const char* name;
  const char* mark;
  Paint paint;
};
Shown shown_as(Finding::Level level) {
  switch (level) {
    case Finding::Level::ok: return {"ok", "ok", Paint::green};
    case Finding::Level::skipped: return {"skipped", "--", Paint::dim};
    case Finding::Level::warning: return {"warning", "warning", Paint::yellow};
    case Finding::Level::problem: return {"problem", "problem", Paint::red};
  }
  return {"", "", Paint::none};
}

bool is_to_mend(const Finding& finding) {
  return finding.level == Finding::Level::warning || finding.level == Finding::Level::problem;
}

}  // namespace

int run(App& app, const DoctorCommand&) {
  Findings findings;
  auto settings = load_settings(app);
  if (settings) {
    findings.ok("config", settings->origin.empty() ? "no configuration but the defaults"
                                                   : "the configuration is valid");
  } else {
    const std::string& hint = settings.error().hint;
    findings.problem("config", settings.error().message,
                     hint.empty() ? "mend it; `zgrid config schema` shows every key" : hint);
    settings = conf::Settings{};  // the rest is looked at as if there were none
  }
  const auto roots = check_secret(app, *settings, findings);
  check_machine(app, *settings, findings);
  check_worker_files(app, *settings, findings);
  check_grid(app, *settings, roots, findings);

  View view;
  Json list = Json::array();
  size_t to_mend = 0;
  for (const Finding& finding : findings.list()) {
    const Shown shown = shown_as(finding.level);
    view.rows.push_back({{shown.mark, shown.paint}, {finding.check}, {finding.message}});
    if (is_to_mend(finding)) {
      ++to_mend;
      if (!finding.fix.empty()) {
        view.rows.push_back({{""}, {"  fix", Paint::bold}, {finding.fix}});
      }
    }
    list.push(Json::object()
                  .set("check", finding.check)
                  .set("level", shown.name)
                  .set("message", finding.message)
                  .set("fix", finding.fix.empty() ? Json() : Json(finding.fix)));
  }
  std::vector<View> views{std::move(view)};
  views.push_back({to_mend == 0 ? "nothing to mend" : std::to_string(to_mend) + " to mend", {}});
  app.out.views(std::move(views), {{"healthy", Json(to_mend == 0)}, {"checks", std::move(list)}});
  return to_mend == 0 ? 0 : 1;
}

}  // namespace zgrid::cli
