// Verbs for shells.
#include "client/cli/parser.h"

namespace zgrid::cli {

void Parser::add_shell() {
  CLI::App* completion = verb(
      "completion", "print a script that completes zgrid's command line",
      "  eval \"$(zgrid completion bash)\"                  in ~/.bashrc\n"
      "  eval \"$(zgrid completion zsh)\"                   in ~/.zshrc, after compinit\n"
      "  zgrid completion fish > ~/.config/fish/completions/zgrid.fish\n"
      "Completes verbs, options and their values, and what the grid has now: ids of jobs, runs,\n"
      "workers and workflows, if a broker answers within half a second.");
  completion
      ->add_option_function<std::string>(
          "SHELL",
          [this](const std::string& text) {
            if (text == "bash") return void(completion_.shell = Shell::bash);
            if (text == "zsh") return void(completion_.shell = Shell::zsh);
            if (text == "fish") return void(completion_.shell = Shell::fish);
            reject("SHELL", text, "bash, zsh or fish");
          },
          "bash, zsh or fish")
      ->required();
  makes(completion, completion_);
}

}  // namespace zgrid::cli
