#include "client/cli/completion.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "protocol/job.h"

namespace zgrid::cli {
namespace {

bool begins_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

std::vector<Candidate> states() {
  std::vector<Candidate> list;
  for (size_t i = 0; i < kJobStatusCount; ++i) {
    list.push_back({std::string(status_name(static_cast<JobStatus>(i))), ""});
  }
  return list;
}

// Everything of a line but its last word.
class Walk {
 public:
  explicit Walk(const VerbInfo& root) : path_{&root} {}

  void word(const std::string& word) {
    if (const OptionInfo* option = std::exchange(pending_, nullptr)) return value(*option, word);
    if (only_positionals_ || word.size() < 2 || word[0] != '-') return plain(word);
    if (word == "--") {
      only_positionals_ = true;
      return;
    }
    const size_t equals = word.find('=');
    const OptionInfo* option = option_named(word.substr(0, equals));
    if (option == nullptr) return;
    used_.insert(option);
    if (equals != std::string::npos) return value(*option, word.substr(equals + 1));
    if (!option->value.empty() && !option->is_value_optional) pending_ = option;
    if (option->names.back() == "--lan") globals_.lan = true;
  }

  [[nodiscard]] const VerbInfo& verb() const { return *path_.back(); }
  [[nodiscard]] const OptionInfo* pending() const { return pending_; }
  [[nodiscard]] bool only_positionals() const { return only_positionals_; }
  [[nodiscard]] const Globals& globals() const { return globals_; }
  [[nodiscard]] const std::vector<std::string>& workflow_paths() const { return workflow_paths_; }

  // Of the verb and of those above it.
  [[nodiscard]] const OptionInfo* option_named(const std::string& name) const {
    for (const OptionInfo* option : options()) {
      const auto& names = option->names;
      if (std::find(names.begin(), names.end(), name) != names.end()) return option;
    }
    return nullptr;
  }
  [[nodiscard]] std::vector<const OptionInfo*> options() const {
    std::vector<const OptionInfo*> list;
    std::set<std::string> seen;  // every verb has its own --help
    for (size_t i = path_.size(); i-- > 0;) {
      for (const OptionInfo& option : path_[i]->options) {
        if (!option.is_positional && seen.insert(option.names.back()).second) {
          list.push_back(&option);
        }
      }
    }
    return list;
  }
  [[nodiscard]] bool may_follow(const OptionInfo& option) const {
    return option.is_repeatable || !used_.contains(&option);
  }
  // What a word without a dash would be; null: nothing more is expected.
  [[nodiscard]] const OptionInfo* positional() const {
    size_t place = 0;
    for (const OptionInfo& option : verb().options) {
      if (!option.is_positional) continue;
      if (place == positionals_ || option.is_repeatable) return &option;
      ++place;
    }
    return nullptr;
  }
  // "submit workflow", "dlq retry".
  [[nodiscard]] std::string name() const {
    std::string text;
    for (size_t i = 1; i < path_.size(); ++i) text += (i == 1 ? "" : " ") + path_[i]->name;
    return text;
  }

 private:
  void plain(const std::string& word) {
    const VerbInfo* below = only_positionals_ ? nullptr : find_verb(verb(), word);
    if (below == nullptr) {
      ++positionals_;
      return;
    }
    path_.push_back(below);
    positionals_ = 0;
  }
  void value(const OptionInfo& option, const std::string& text) {
    const std::string& name = option.names.back();
    if (name == "--config") globals_.config = text;
    if (name == "--secret-file") globals_.secret_file = text;
    if (name == "--broker") globals_.brokers.push_back(text);
    if (name == "--workflows") workflow_paths_.push_back(text);
    if (name == "--lan") {
      globals_.lan = true;
      globals_.interfaces = {text};
    }
  }

  std::vector<const VerbInfo*> path_;
  const OptionInfo* pending_ = nullptr;  // the next word is its value
  bool only_positionals_ = false;        // after --
  size_t positionals_ = 0;
  std::set<const OptionInfo*> used_;
  Globals globals_;
  std::vector<std::string> workflow_paths_;
};

void add_fixed(Wanted& wanted, const std::vector<Candidate>& candidates) {
  for (const Candidate& candidate : candidates) {
    if (begins_with(candidate.text, wanted.part)) wanted.fixed.push_back(candidate);
  }
}

// What stands before the last comma stays.
void split_list(Wanted& wanted) {
  const size_t comma = wanted.part.rfind(',');
  if (comma == std::string::npos) return;
  wanted.before += wanted.part.substr(0, comma + 1);
  wanted.part.erase(0, comma + 1);
}

void want_path(Wanted& wanted, const std::string& value) {
  wanted.folders = value == "DIR";
  wanted.files = value == "FILE" || value == "PATH" || value == "FILE|DIR";
}

void option_value(Wanted& wanted, const OptionInfo& option) {
  static const std::set<std::string> kLists{"--on", "--state"};
  static const std::set<std::string> kAtFiles{"--text", "--input", "--system", "--prompt"};
  static const std::map<std::string, Live> kLive{
      {"--on", Live::targets}, {"--run", Live::runs}, {"--workflow", Live::workflows}};
  const std::string& name = option.names.back();
  if (kLists.contains(name)) split_list(wanted);
  if (kAtFiles.contains(name) && begins_with(wanted.part, "@")) {
    wanted.before += "@";
    wanted.part.erase(0, 1);
    wanted.files = true;
    return;
  }
  add_fixed(wanted, values_of(name));
  if (const auto live = kLive.find(name); live != kLive.end()) wanted.live = live->second;
  want_path(wanted, option.value);
}

Live jobs_for(const std::string& verb) {
  if (verb == "cancel") return Live::open_jobs;
  if (verb == "retry") return Live::ended_jobs;
  return begins_with(verb, "dlq ") ? Live::dead_letters : Live::jobs;
}

void positional_value(Wanted& wanted, const OptionInfo& option, const std::string& verb) {
  const std::string& value = option.value;
  if (value == "JOB" || value == "JOB|WORKER") {
    add_fixed(wanted, {{"last", "your newest job"}});
    wanted.live = value == "JOB" ? jobs_for(verb) : Live::jobs_and_workers;
  } else if (value == "WORKER") {
    wanted.live = Live::workers;
  } else if (value == "NAME") {
    wanted.live = begins_with(verb, "run ") ? Live::own_workflows : Live::workflows;
  } else if (value == "SHELL") {
    add_fixed(wanted, {{"bash", ""}, {"zsh", ""}, {"fish", ""}});
  } else if (value == "TEXT" && begins_with(wanted.part, "@")) {
    wanted.before = "@";
    wanted.part.erase(0, 1);
    wanted.files = true;
  }
  want_path(wanted, value);
}

}  // namespace

const std::vector<Candidate>& values_of(const std::string& option) {
  static const std::map<std::string, std::vector<Candidate>> kValues{
      {"--color", {{"auto", "on a terminal"}, {"always", "also in a pipe"}, {"never", ""}}},
      {"--log-level",
       {{"trace", ""}, {"debug", ""}, {"info", ""}, {"warn", ""}, {"error", ""}, {"off", ""}}},
      {"--log-format", {{"text", ""}, {"json", ""}}},
      {"--on", {{"any", "the best worker"}, {"all", "every worker"}, {"tag:", "those with a tag"}}},
      {"--on-wedged",
       {{"warn", "tell about it"}, {"retry", "try elsewhere"}, {"kill", "let it fail"}}},
      {"--rerun", {{"failed", "what did not succeed"}}},
      {"--role", {{"worker", ""}, {"client", ""}}},
      {"--measure", {{"throughput", ""}, {"latency", ""}}},
      {"--state", states()},
  };
  static const std::vector<Candidate> kNone;
  const auto found = kValues.find(option);
  return found == kValues.end() ? kNone : found->second;
}

Wanted wanted(const VerbInfo& root, std::vector<std::string> words) {
  if (words.empty()) words.emplace_back();
  Wanted result;
  result.part = std::move(words.back());
  words.pop_back();
  Walk walk(root);
  for (const std::string& word : words) walk.word(word);
  result.globals = walk.globals();
  result.workflow_paths = walk.workflow_paths();

  if (walk.pending() != nullptr) {
    option_value(result, *walk.pending());
    return result;
  }
  if (!walk.only_positionals() && begins_with(result.part, "-")) {
    const size_t equals = result.part.find('=');
    if (equals != std::string::npos) {
      const OptionInfo* option = walk.option_named(result.part.substr(0, equals));
      if (option == nullptr || option->value.empty()) return result;
      result.before = result.part.substr(0, equals + 1);
      result.part.erase(0, equals + 1);
      option_value(result, *option);
      return result;
    }
    for (const OptionInfo* option : walk.options()) {
      if (walk.may_follow(*option)) add_fixed(result, {{option->names.back(), option->help}});
    }
    return result;
  }
  for (const VerbInfo& verb : walk.verb().verbs) add_fixed(result, {{verb.name, verb.help}});
  if (const OptionInfo* positional = walk.positional()) {
    positional_value(result, *positional, walk.name());
  }
  return result;
}

}  // namespace zgrid::cli
