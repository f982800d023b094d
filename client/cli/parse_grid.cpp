// Verbs about jobs that were submitted before, about the grid, and about the store.
#include <algorithm>

#include "client/cli/parser.h"

namespace zgrid::cli {
namespace {

void add_states(CLI::App* app, std::vector<JobStatus>& into) {
  app->add_option_function<std::vector<std::string>>(
         "--state",
         [&into](const std::vector<std::string>& values) {
           for (const std::string& value : values) {
             for (const std::string& name : split_commas(value)) {
               const auto status = parse_status(name);
               if (!status) {
                 reject("--state", name,
                        "a state: waiting queued running waiting_input succeeded failed timed_out "
                        "cancelled aborted dead_letter");
               }
               into.push_back(*status);
             }
           }
         },
         "only jobs in this state")
      ->allow_extra_args(false)
      ->type_name("S");
}

}  // namespace

void Parser::selection(CLI::App* app, Selection& jobs) {
  app->add_option("JOB", jobs.selectors, "ids, unique tails of ids, last, or - for ids on stdin");
  add_run_name(app, jobs.run, "all jobs of this run");
  add_states(app, jobs.states);
}

void Parser::add_job_verbs() {
  CLI::App* wait = verb("wait", "wait for jobs to end; exits as they did",
                        "  zgrid wait last\n  zgrid wait --run nightly --timeout 2h");
  selection(wait, wait_.jobs);
  makes(wait, wait_);
  CLI::App* result = verb("result", "print the output of jobs that ended",
                          "  zgrid result 5f0c\n  zgrid result last --json | jq .usage");
  selection(result, result_.jobs);
  makes(result, result_);
  CLI::App* cancel = verb("cancel", "cancel jobs",
                          "  zgrid cancel last\n  zgrid cancel --run nightly --state queued");
  selection(cancel, cancel_.jobs);
  makes(cancel, cancel_);
  CLI::App* retry = verb("retry", "run ended jobs again, as new jobs, and wait for those",
                         "  zgrid retry last\n"
                         "  zgrid retry --run nightly --state failed,timed_out --detach");
  selection(retry, retry_.jobs);
  retry->add_flag("--detach", retry_.detach, "print the new jobs' ids and do not wait");
  makes(retry, retry_);
  CLI::App* attach = verb("attach", "follow the events of jobs, then print their outputs",
                          "  zgrid attach last\n  zgrid attach --run nightly --json");
  selection(attach, attach_.jobs);
  makes(attach, attach_);
}

void Parser::add_views() {
  CLI::App* jobs = verb("jobs", "list jobs, newest first",
                        "  zgrid jobs --state running\n"
                        "  zgrid jobs --run nightly --limit 0 --json");
  add_number(jobs, "--limit", jobs_.limit, UINT32_MAX, "at most so many (0: all)");
  add_run_name(jobs, jobs_.run, "only jobs of this run");
  add_states(jobs, jobs_.states);
  makes(jobs, jobs_);
  makes(verb("workers", "list workers", "  zgrid workers --json | jq '.workers[].name'"), workers_);
  makes(verb("status", "the broker and its counts", "  zgrid status"), status_);
  CLI::App* drain =
      verb("drain", "let a worker finish and give it nothing new", "  zgrid drain gpu1");
  drain->add_option("WORKER", drain_.worker, "its name or id")->required();
  makes(drain, drain_);
  CLI::App* undrain = verb("undrain", "give a drained worker work again", "  zgrid undrain gpu1");
  undrain->add_option("WORKER", undrain_.worker, "its name or id")->required();
  undrain_.undo = true;
  makes(undrain, undrain_);
  makes(verb("discover", "list the brokers that can be heard", "  zgrid discover --lan"),
        discover_);
}

void Parser::add_dead_letters() {
  CLI::App* dlq = verb("dlq", "the dead-letter list: jobs that were set aside",
                       "  zgrid dlq ls\n  zgrid dlq show 5f0c\n  zgrid dlq retry --all --detach");
  dlq->require_subcommand(1);
  CLI::App* list =
      sub(dlq, "ls", "list them with their reasons, newest first",
          "  zgrid dlq ls --run nightly\n  zgrid dlq ls --json | jq -r .jobs[].reason");
  add_number(list, "--limit", dlq_list_.limit, UINT32_MAX, "at most so many (0: all)");
  add_run_name(list, dlq_list_.run, "only jobs of this run");
  makes(list, dlq_list_);
  CLI::App* show = sub(dlq, "show", "all that is known of one",
                       "  zgrid dlq show last\n  zgrid dlq show 5f0c --json | jq .error");
  show->add_option("JOB", dlq_show_.job, "an id, a unique tail of one, or last")->required();
  makes(show, dlq_show_);
  CLI::App* retry = sub(dlq, "retry", "run them again as new jobs; they leave the list",
                        "  zgrid dlq retry 5f0c\n  zgrid dlq retry --all --detach");
  retry->add_option("JOB", dlq_retry_.jobs.selectors,
                    "ids, unique tails of ids, last, or - for ids on stdin");
  retry->add_flag("--all", dlq_retry_.all, "the whole list");
  retry->add_flag("--detach", dlq_retry_.detach, "print the new jobs' ids and do not wait");
  makes(retry, dlq_retry_);
  CLI::App* purge = sub(dlq, "purge", "forget them: only id, key and state stay known for a while",
                        "  zgrid dlq purge 5f0c\n  zgrid dlq purge --all");
  purge->add_option("JOB", dlq_purge_.jobs.selectors,
                    "ids, unique tails of ids, last, or - for ids on stdin");
  purge->add_flag("--all", dlq_purge_.all, "the whole list");
  makes(purge, dlq_purge_);
}

void Parser::add_store() {
  CLI::App* store = verb("store", "check, back up and restore a broker's store",
                         "  zgrid store check\n  zgrid store backup /backup/zgrid.db\n"
                         "  zgrid store restore /backup/zgrid.db --force");
  store->require_subcommand(1);
  const auto at = [](CLI::App* app, std::string& path) {
    app->add_option("--store", path, "the database (default: the configured one)")
        ->type_name("PATH");
  };
  CLI::App* check = sub(store, "check",
                        "read all of a store that no broker holds; exits with 65 "
                        "if it is damaged",
                        "  zgrid store check\n  zgrid store check --store /backup/zgrid.db");
  at(check, store_check_.store);
  makes(check, store_check_);
  CLI::App* backup = sub(store, "backup", "copy a store; a broker that holds it makes the copy",
                         "  zgrid store backup /backup/zgrid.db\n"
                         "  zgrid store backup /backup/zgrid.db --broker desk.example:5670\n"
                         "With --broker, FILE is written by that broker on its host.");
  backup->add_option("FILE", store_backup_.file, "the copy; never over an existing file")
      ->required();
  at(backup, store_backup_.store);
  makes(backup, store_backup_);
  CLI::App* restore = sub(store, "restore", "put a backup in the place of a store",
                          "  zgrid store restore /backup/zgrid.db --force");
  restore->add_option("FILE", store_restore_.file, "the backup")->required();
  restore->add_flag("--force", store_restore_.force, "move aside the store that is there");
  at(restore, store_restore_.store);
  makes(restore, store_restore_);
}

}  // namespace zgrid::cli
