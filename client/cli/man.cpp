#include "client/cli/man.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "protocol/base/utf8.h"

namespace zgrid::cli {
namespace {

struct Term {
  const char *name, *text;
};
// The same numbers as Errc, as scripts see them.
constexpr std::array<Term, 17> kExits{{
    {"0", "The job succeeded, or what was asked is done."},
    {"1", "The job failed or timed out."},
    {"2", "The command line cannot be understood."},
    {"3", "The job was cancelled or aborted."},
    {"4", "The job is on the dead-letter list."},
    {"65", "Bad input, job file or identifier; a key of another job."},
    {"66", "No such file, job, run or worker."},
    {"69", "No broker was found in time, or only one of another grid."},
    {"70", "A bug, or a broker that is too old to know what was asked for."},
    {"73", "Something cannot be created, or is in use or locked."},
    {"74", "Reading or writing failed."},
    {"75", "Not now: the queue is full, the job has not ended, or nobody can run it."},
    {"76", "The other side speaks no version of the protocol that this one does."},
    {"77", "The broker refused: the secret, or what it permits."},
    {"78", "The configuration or the secret is missing or wrong."},
    {"124", "The time of --timeout is over. The job goes on."},
    {"128+N", "Ended by signal N; 141 is a closed pipe."},
}};
constexpr std::array<Term, 6> kVariables{{
    {"ZGRID_SECRET", "The grid's secret."},
    {"ZGRID_SECRET_FILE", "A file with the grid's secret, of mode 0600."},
    {"ZGRID_SECTION__KEY",
     "Any key of the configuration, such as ZGRID_CLIENT__CONNECT_TIMEOUT=5s."},
    {"NO_COLOR", "If it is set and not empty, there is no colour, whatever --color says."},
    {"COLUMNS", "The width of a terminal that does not tell it."},
    {"TERM", "If it is dumb, there is no colour and no progress bar."},
}};
constexpr std::array<Term, 4> kFiles{{
    {"./zgrid.toml, ~/.config/zgrid/config.toml, /etc/zgrid/config.toml",
     "The configuration; what stands in an earlier one wins."},
    {"~/.config/zgrid/secret", "The grid's secret."},
    {"~/.local/state/zgrid", "A broker's store, and results that a worker has to hand in."},
    {"~/.cache/zgrid", "Where the last broker was."},
}};

uint32_t code_point(std::string_view bytes) {
  uint32_t value = static_cast<uint8_t>(bytes[0]) & (0xffu >> (bytes.size() + 1));
  for (const char c : bytes.substr(1)) value = value << 6 | (static_cast<uint8_t>(c) & 63u);
  return value;
}

// Text as roff reads it back: nothing in it is a request or an escape.
std::string escaped(std::string_view text) {
  std::string out;
  if (!text.empty() && (text[0] == '.' || text[0] == '\'')) out = "\\&";
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    const size_t length = std::max<size_t>(1, utf8_sequence(text.substr(at)));
    if (length > 1) {
      std::array<char, 16> name;
      std::snprintf(name.data(), name.size(), "\\[u%04X]", code_point(text.substr(at, length)));
      out += name.data();
    } else if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";  // so that it can be copied
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '`') {
      out += "\\(ga";
    } else if (c == '^') {
      out += "\\(ha";
    } else if (c == '~') {
      out += "\\(ti";
    } else {
      out += c;
    }
    at += length;
  }
  return out;
}

// Filled text, in source lines that are short.
std::string paragraph(const std::string& text) {
  constexpr size_t kLine = 70;
  std::string out;
  std::string line;
  const auto end_line = [&] {
    if (!line.empty()) out += escaped(line) + "\n";
    line.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(" \n", at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    if (line.size() + word.size() >= kLine) end_line();
    line += (line.empty() ? "" : " ") + word;
    // A new sentence is a new line, as roff wants it.
    if (word.back() == '.' && at < text.size()) end_line();
  }
  end_line();
  return out;
}

std::string sentence(std::string text) {
  if (text.empty()) return text;
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  if (text.back() != '.') text += '.';
  return text;
}

std::string bold(const std::string& text) { return "\\fB" + escaped(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + escaped(text) + "\\fR"; }

std::string term(const OptionInfo& option) {
  if (option.is_positional) return italic(option.value);
  std::string text;
  for (const std::string& name : option.names) text += (text.empty() ? "" : ", ") + bold(name);
  if (option.value.empty()) return text;
  if (option.is_value_optional) return text + "[=" + italic(option.value) + "]";
  return text + " " + italic(option.value);
}

std::string option_list(const VerbInfo& verb) {
  std::string text;
  for (const OptionInfo& option : verb.options) {
    text += ".TP\n" + term(option) + "\n" + paragraph(sentence(option.help));
  }
  return text;
}

template <size_t N>
std::string terms(const std::array<Term, N>& list) {
  std::string text;
  for (const Term& entry : list) {
    text += ".TP\n" + bold(entry.name) + "\n" + paragraph(entry.text);
  }
  return text;
}

// Examples stand two blanks in; what else a footer has is prose, which belongs to the description.
struct Footer {
  std::vector<std::string> examples;
  std::string prose;
};
Footer split_footer(const std::string& text) {
  Footer footer;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.empty() || line == "Examples:") continue;
    if (line.compare(0, 2, "  ") == 0) {
      footer.examples.push_back(line.substr(2));
    } else {
      footer.prose += (footer.prose.empty() ? "" : " ") + line;
    }
  }
  return footer;
}

std::string examples(const Footer& footer) {
  if (footer.examples.empty()) return "";
  std::string text = ".RS 4\n.nf\n";
  for (const std::string& line : footer.examples) {
    // A long line goes on in the next: with \c the reader sees one.
    std::string rest = line;
    constexpr size_t kSource = 60;
    while (rest.size() > kSource) {
      size_t cut = rest.rfind(' ', kSource);
      if (cut == std::string::npos || cut == 0) break;
      text += escaped(rest.substr(0, cut)) + "\\c\n";
      rest.erase(0, cut);
    }
    text += escaped(rest) + "\n";
  }
  return text + ".fi\n.RE\n";
}

std::string synopsis(const std::string& command, const VerbInfo& verb) {
  std::string text = bold(command);
  const bool has_options = std::any_of(verb.options.begin(), verb.options.end(),
                                       [](const auto& option) { return !option.is_positional; });
  if (has_options) text += " [" + italic("option") + " ...]";
  for (const OptionInfo& option : verb.options) {
    if (!option.is_positional) continue;
    std::string one = italic(option.value);
    if (option.is_repeatable) one += " ...";
    text += option.is_required ? " " + one : " [" + one + "]";
  }
  if (!verb.verbs.empty()) text += " " + italic("VERB") + " ...";
  return text + "\n";
}

// Verbs below a verb, each with its options and examples.
std::string subsections(const std::string& command, const VerbInfo& verb) {
  std::string text;
  for (const VerbInfo& below : verb.verbs) {
    const std::string name = command + " " + below.name;
    const Footer footer = split_footer(below.footer);
    text += ".SS " + bold(name) + "\n" + synopsis(name, below) + ".PP\n";
    text += paragraph(sentence(below.help) + " " + footer.prose) + option_list(below);
    if (!footer.examples.empty()) text += ".PP\n" + examples(footer);
    text += subsections(name, below);
  }
  return text;
}

std::string heading(const std::string& page, const std::string& version, const std::string& date) {
  std::string upper = page;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return ".TH \"" + upper + "\" 1 \"" + date + "\" \"zgrid " + version + "\" \"zgrid\"\n";
}

ManPage verb_page(const VerbInfo& verb, const std::string& version, const std::string& date) {
  const std::string command = "zgrid " + verb.name;
  const Footer footer = split_footer(verb.footer);
  ManPage page{"zgrid-" + verb.name, ""};
  std::string& text = page.text;
  text = heading(page.name, version, date);
  text += ".SH NAME\n" + paragraph(page.name + " - " + verb.help);
  text += ".SH SYNOPSIS\n" + synopsis(command, verb);
  text += ".SH DESCRIPTION\n" + paragraph(sentence(verb.help) + " " + footer.prose);
  if (!verb.options.empty()) text += ".SH OPTIONS\n" + option_list(verb);
  if (!verb.verbs.empty()) text += ".SH VERBS\n" + subsections(command, verb);
  if (!footer.examples.empty()) text += ".SH EXAMPLES\n" + examples(footer);
  text += ".SH SEE ALSO\n.BR zgrid (1),\nfor the options of every verb, exit codes and files\n";
  return page;
}

}  // namespace

std::vector<ManPage> man_pages(const VerbInfo& root, const std::string& version,
                               const std::string& date) {
  std::vector<ManPage> pages;
  ManPage main{"zgrid", heading("zgrid", version, date)};
  const Footer footer = split_footer(root.footer);
  std::string& text = main.text;
  text += ".SH NAME\n" + paragraph("zgrid - " + root.help);
  text += ".SH SYNOPSIS\n" + synopsis("zgrid", root);
  text += ".SH DESCRIPTION\n";
  text += paragraph(
      "Give every machine the same secret, start a broker on one and a worker on each: then any "
      "script hands a prompt or a workflow to any machine, to a named one, or to all of them. "
      "Results go to stdout, everything else to stderr. Durations read 500ms, 90s, 15m, 2h or 7d; "
      "sizes 64MiB. A job is named by its id, by a unique tail of it, or last.");
  text += ".SH VERBS\n";
  for (const VerbInfo& verb : root.verbs) {
    text += ".TP\n" + bold("zgrid-" + verb.name) + "(1)\n" + paragraph(sentence(verb.help));
    pages.push_back(verb_page(verb, version, date));
  }
  text += ".SH OPTIONS\nThese stand before or after any verb.\n" + option_list(root);
  text += ".SH EXIT STATUS\n" +
          paragraph("Of several jobs the first of 4, 1, 3, 0 that one of them has.") +
          terms(kExits);
  text += ".SH ENVIRONMENT\n" + terms(kVariables);
  text += ".SH FILES\n" + terms(kFiles);
  text += ".SH EXAMPLES\n" + examples(footer);
  text += ".SH SEE ALSO\n";
  for (const VerbInfo& verb : root.verbs) {
    text += ".BR zgrid\\-" + verb.name + " (1)" + (&verb == &root.verbs.back() ? "" : ",") + "\n";
  }
  pages.insert(pages.begin(), std::move(main));
  return pages;
}

}  // namespace zgrid::cli
