// submit and run, which takes what submit takes.
#include "client/cli/parser.h"
#include "protocol/base/limits.h"

namespace zgrid::cli {

void Parser::submit_options(CLI::App* app, SubmitCommand& submit) {
  app->add_option_function<std::string>(
         "--on",
         [&submit](const std::string& text) {
           auto target = parse_target(text);
           if (!target) reject("--on", text, "any, NAME[,NAME], all or tag:k=v[,…]");
           submit.target = std::move(*target);
         },
         "where: any, NAME[,NAME], all, tag:k=v[,…]")
      ->type_name("WHERE");
  app->add_flag("--detach", submit.detach, "print the job's id and do not wait");
  app->add_flag("--follow", submit.follow, "show its events on stderr as they happen");
  add_filled(app, "--key", submit.key, "the same key is the same job, for at least 7 days");
  add_number(app, "--priority", submit.priority, limits::kPriorityMax, "0 to 9, 9 first");
  add_number(app, "--retries", submit.retries, limits::kRetriesMax,
             "how often to try again after a failure");
  add_duration(app, "--time-limit", submit.time_limit, "of one attempt");
  add_duration(app, "--deadline", submit.deadline, "from submission to the end");
  add_duration(app, "--delay", submit.delay, "earliest start after submission");
  add_run_name(app, submit.run, "group it under this name");
  app->add_flag("--no-queue", submit.no_queue, "fail at once if nobody can run it");
  add_list(app, "--cache", submit.cache, "prefer workers where this key is warm")->type_name("KEY");
  app->add_option_function<std::string>(
         "--on-wedged",
         [&submit](const std::string& text) {
           if (text == "warn") return void(submit.on_wedged = WedgedAction::warn);
           if (text == "retry") return void(submit.on_wedged = WedgedAction::retry);
           if (text == "kill") return void(submit.on_wedged = WedgedAction::kill);
           reject("--on-wedged", text, "warn, retry or kill");
         },
         "if it stops making progress: warn, retry or kill")
      ->type_name("WHAT");
}

void Parser::submit_kinds(CLI::App* app, SubmitCommand& submit) {
  app->require_subcommand(1);
  submit_options(app, submit);
  bulk_options(app, submit);
  CLI::App* prompt =
      sub(app, "prompt", "a prompt for a language model",
          "  zgrid submit prompt 'Why is the sky blue?'\n"
          "  zgrid submit prompt @question.txt --on gpu1 --model llama3.2\n"
          "  git diff | zgrid submit prompt - --system 'Review this change.'\n"
          "  zgrid submit prompt 'Translate: {{data.text}}' --each-line lines.txt\n"
          "{{data.text}} is --text or the line, {{data.NAME}} a member of --input or "
          "of the line's document, {{job.index}} its number.");
  prompt->add_option("TEXT", submit.subject, "the prompt; @FILE reads one, - reads stdin, @@ is @")
      ->required();
  prompt->add_option("--model", submit.model, "the model (default: the provider's first)");
  prompt->add_option("--provider", submit.provider, "the provider's name");
  prompt->add_option("--system", submit.system, "the system prompt; @FILE reads one");
  input_options(prompt, submit);
  prompt->callback([&submit] { submit.kind = JobKind::prompt; });

  CLI::App* workflow = sub(app, "workflow", "a workflow that workers offer",
                           "  zgrid submit workflow hash --text @file\n"
                           "  zgrid submit workflow analyze --input '{\"since\": \"v1.0\"}'\n"
                           "  id=$(zgrid submit workflow backup --key nightly --detach)\n"
                           "  zgrid submit workflow resize --each-line files.txt --key photos "
                           "--progress --out done\n"
                           "  zgrid submit workflow simulate --array 1-1000 --input "
                           "'{\"seed\": \"{{job.index}}\"}'\n"
                           "With many jobs, {{data.text}} in --text and --input is the line.\n"
                           "Options of where, when and how many: 'zgrid submit --help'.");
  workflow->add_option("NAME", submit.subject, "its name")->required();
  add_list(workflow, "--step", submit.steps, "only these steps")->type_name("ID");
  input_options(workflow, submit);
  workflow->callback([&submit] { submit.kind = JobKind::workflow; });
}

void Parser::add_submit() {
  CLI::App* submit = verb("submit", "submit a job and wait for its output",
                          "  zgrid submit workflow zgrid.echo --text hello\n"
                          "  zgrid submit prompt 'Say hello' --on all\n"
                          "  zgrid submit workflow NAME --detach; zgrid wait last\n"
                          "  zgrid submit workflow NAME --each-line FILE --key KEY --out DIR\n"
                          "With --key the same command again goes on where it was interrupted.");
  submit_kinds(submit, submit_);
  makes(submit, submit_);
}

void Parser::add_run() {
  CLI::App* run = verb("run", "submit to a private grid inside this process, then exit",
                       "  zgrid run workflow hash --workflows jobs.toml --text @file\n"
                       "Needs no secret, no configuration and no network.");
  worker_flags(run, run_.worker, false);
  submit_kinds(run, run_.submit);
  makes(run, run_);
}

}  // namespace zgrid::cli
