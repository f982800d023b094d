// Verbs that tell why: explain, doctor, workflows, events and logs.
#include "client/cli/parser.h"

namespace zgrid::cli {

void Parser::add_why() {
  CLI::App* explain =
      verb("explain", "why jobs are where they are: each worker, and the time in each state",
           "  zgrid explain last\n  zgrid explain 5f0c --json | jq .workers");
  explain->add_option("JOB", explain_.jobs, "ids, unique tails of ids, last, or - for ids on stdin")
      ->required();
  makes(explain, explain_);

  makes(verb("workflows", "what the workers online offer, and who", "  zgrid workflows"),
        workflows_);
  CLI::App* workflow = verb("workflow", "check workflow files", "  zgrid workflow check jobs.toml");
  workflow->require_subcommand(1);
  CLI::App* check =
      sub(workflow, "check",
          "find every mistake in workflow files, with its line; exits with 78 if there is one",
          "  zgrid workflow check jobs.toml\n  zgrid workflow check workflows/ --json");
  check->add_option("FILE|DIR", workflow_check_.paths, "files, or folders of *.toml")->required();
  makes(check, workflow_check_);

  makes(
      verb("doctor", "look for what keeps this machine from the grid, with a fix for each finding",
           "  zgrid doctor\n  zgrid doctor --json | jq '.checks[] | select(.level != \"ok\")'\n"
           "  zgrid doctor --lan\n"
           "Exits with 0 if there is nothing to mend and with 1 if there is. Sends nothing beyond\n"
           "this host but to brokers that are named; with --lan also probes to its networks."),
      doctor_);

  CLI::App* events = verb("events", "what happened on the grid, oldest first",
                          "  zgrid events\n  zgrid events -f --json | jq -r .event");
  events->add_flag("-f,--follow", events_.follow, "go on as it happens, with every job's states");
  add_number(events, "--limit", events_.limit, UINT32_MAX, "at most so many old ones (0: all)");
  makes(events, events_);

  CLI::App* logs =
      verb("logs", "the log of a job, of a worker, or of the broker",
           "  zgrid logs last -f      what a job writes to stderr\n"
           "  zgrid logs gpu1 -f      what happens to a worker, and what its jobs write\n"
           "  zgrid logs              what the broker noticed\n"
           "A broker keeps them in memory: 64 KiB of each running job, 4 MiB of those that ended.");
  logs->add_option("JOB|WORKER", logs_.subject, "an id, a unique tail of one, last, or a worker");
  logs->add_flag("-f,--follow", logs_.follow, "go on as it is written");
  add_number(logs, "--limit", logs_.limit, UINT32_MAX,
             "at most so many old events of a worker or the broker (0: all)");
  makes(logs, logs_);
}

}  // namespace zgrid::cli
