#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/store_answers.h"
#include "protocol/json.h"
#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

using testing::HasSubstr;

constexpr SessionId kAda{11}, kBob{12};

class ExplainTest : public CoreTest {
 protected:
  // What is said of the only job asked for, from the store where the core asks it.
  Json explain(const JobId& id) {
    Query m;
    m.what = Query::What::explain;
    m.selectors = {id.str()};
    say(kClient, Role::client, m);
    for (const StoreRead& read : std::exchange(reads_, {})) {
      std::vector<Send> direct;
      turn([&] { deliver_answer(*core_, read, answer_from_store(store_, read), direct); });
      EXPECT_TRUE(direct.empty());
    }
    const auto answer = next<Answer>(kClient);
    EXPECT_FALSE(answer.error);
    const auto parsed = Json::parse(answer.text);
    if (!parsed || parsed->as_array() == nullptr || parsed->as_array()->size() != 1) {
      ADD_FAILURE() << answer.text;
      return {};
    }
    return parsed->as_array()->front();
  }
  static std::string text(const Json& object, const char* name) {
    const Json* member = object.find(name);
    return member != nullptr && member->as_string() != nullptr ? *member->as_string() : "";
  }
  static int64_t number(const Json& object, const char* name) {
    const Json* member = object.find(name);
    return member != nullptr ? member->as_int().value_or(-1) : -1;
  }
  // The rule that excludes that worker; empty: none does. "absent" if it is not listed.
  static std::string rule(const Json& why, const std::string& worker) {
    for (const Json& one : *why.find("workers")->as_array()) {
      if (text(one, "name") == worker) return text(one, "rule");
    }
    return "absent";
  }
  Ready with_tags(const std::string& name, std::vector<std::pair<std::string, std::string>> tags) {
    Ready m = ready(name);
    m.tags = std::move(tags);
    return m;
  }
};

TEST_F(ExplainTest, NobodyOnline) {
  hello();
  const Json why = explain(accepted(spec()));
  EXPECT_EQ(text(why, "status"), "queued");
  EXPECT_EQ(text(why, "waits_for"), "worker");
  EXPECT_EQ(text(why, "reason"), "no worker is online");
  EXPECT_THAT(text(why, "fix"), HasSubstr("zgrid worker"));
}

TEST_F(ExplainTest, AWorkflowThatNobodyOffersNamesTheOneThatWasMeant) {
  hello();
  join(kAda, ready("ada"));
  const Json why = explain(accepted(spec("ecko")));
  EXPECT_EQ(text(why, "waits_for"), "service");
  EXPECT_EQ(text(why, "reason"), "the only worker online does not offer 'ecko'");
  EXPECT_THAT(text(why, "fix"), HasSubstr("did you mean 'echo'"));
  EXPECT_EQ(rule(why, "ada"), "service");
}

TEST_F(ExplainTest, APromptWithoutAProvider) {
  hello();
  join(kAda, ready("ada"));
  const Json why = explain(accepted(spec("zgrid.prompt@local/llama")));
  EXPECT_THAT(text(why, "reason"), HasSubstr("prompt provider for '@local/llama'"));
  EXPECT_THAT(text(why, "fix"), HasSubstr("[[worker.provider]]"));
}

TEST_F(ExplainTest, ATagThatNobodyHasIsNamedForEachWorker) {
  hello();
  join(kAda, with_tags("ada", {{"gpu", "no"}}));
  join(kBob, ready("bob"));
  JobSpec job = spec();
  job.target.mode = Target::Mode::tags;
  job.target.tags = {{"gpu", "yes"}};
  const Json why = explain(accepted(job));
  EXPECT_EQ(text(why, "waits_for"), "tags");
  EXPECT_THAT(text(why, "reason"), HasSubstr("its tag 'gpu' is 'no', not 'yes'"));
  EXPECT_THAT(text(why, "fix"), HasSubstr("--tag gpu=yes"));
  EXPECT_EQ(rule(why, "ada"), "tags");
  EXPECT_EQ(rule(why, "bob"), "tags");
}

TEST_F(ExplainTest, AWorkerOfThatNameIsUnknownOrDoesNotOfferIt) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.target.mode = Target::Mode::names;
  job.target.names = {"adda"};
  Json why = explain(accepted(job));
  EXPECT_EQ(text(why, "waits_for"), "name");
  EXPECT_EQ(text(why, "reason"), "no worker is called 'adda'");
  EXPECT_THAT(text(why, "fix"), HasSubstr("did you mean 'ada'"));
  EXPECT_EQ(rule(why, "ada"), "name");
  job.target.names = {"ada"};
  job.service = "hash";
  why = explain(accepted(job));
  EXPECT_EQ(text(why, "waits_for"), "service");
  EXPECT_EQ(text(why, "reason"), "worker 'ada' does not offer 'hash'");
}

TEST_F(ExplainTest, AVersionThatNobodyHas) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.demand_version = "2.0";
  const Json why = explain(accepted(job));
  EXPECT_EQ(text(why, "waits_for"), "version");
  EXPECT_EQ(rule(why, "ada"), "version");
}

TEST_F(ExplainTest, BusyDrainingAndLostWorkers) {
  hello();
  join(kAda, ready("ada"));
  running(spec(), kAda);
  const JobId waits = accepted(spec());
  Json why = explain(waits);
  EXPECT_EQ(text(why, "waits_for"), "slot");
  EXPECT_EQ(rule(why, "ada"), "full");
  EXPECT_EQ(number(*why.find("queue"), "same_need"), 1);

  Control drain;
  drain.worker = "ada";
  say(kClient, Role::client, drain);
  next<Answer>(kClient);
  why = explain(waits);
  EXPECT_EQ(text(why, "waits_for"), "drain");
  EXPECT_THAT(text(why, "fix"), HasSubstr("zgrid undrain ada"));

  die(kAda);
  pass(Millis{5000});
  why = explain(waits);
  EXPECT_EQ(text(why, "waits_for"), "worker");
  EXPECT_EQ(rule(why, "ada"), "offline");
  EXPECT_THAT(text(why, "reason"), HasSubstr("ada was last seen 5s ago"));
}

TEST_F(ExplainTest, EveryCandidateHasTheTermsOfItsScore) {
  hello();
  join(kAda, ready("ada", 2));
  join(kBob, ready("bob", 2));
  const Token token = running(spec(), kAda);
  const Json why = explain(token.job);
  const auto& workers = *why.find("workers")->as_array();
  ASSERT_EQ(workers.size(), 2u);
  EXPECT_EQ(text(workers[0], "name"), "bob");
  EXPECT_EQ(number(*workers[0].find("score"), "rank"), 1);
  EXPECT_EQ(workers[0].find("score")->find("load")->as_double(), 0.0);
  EXPECT_EQ(workers[1].find("score")->find("load")->as_double(), 0.5);
  EXPECT_EQ(number(*workers[1].find("score"), "assignments_since"), 0);
  EXPECT_EQ(text(why, "reason"), "runs on ada");
  EXPECT_TRUE(why.find("waits_for")->is_null());
}

TEST_F(ExplainTest, AJobBehindOthersOnItsWorker) {
  hello();
  Ready m = ready("ada");
  m.window = 4;
  join(kAda, m);
  running(spec(), kAda);
  submit(spec());
  const Token second = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  const Json why = explain(second.job);
  EXPECT_EQ(text(why, "waits_for"), "slot");
  EXPECT_EQ(text(why, "reason"),
            "is in the hands of ada and waits there behind 1 job, 1 at a time");
}

TEST_F(ExplainTest, DelayBackoffAndDeadlineTellTheirTimes) {
  hello();
  JobSpec job = spec();
  job.delay = Millis{4000};
  job.deadline = Millis{60'000};
  Json why = explain(accepted(job));
  EXPECT_EQ(text(why, "waits_for"), "delay");
  EXPECT_EQ(number(why, "start_in_ms"), 4000);
  EXPECT_EQ(number(why, "deadline_in_ms"), 60'000);

  join(kAda, ready("ada"));
  job = spec();
  job.retries = 2;
  const Token token = running(job, kAda);
  finish(kAda, token, JobStatus::failed);
  expect_final_ack(kAda);
  why = explain(token.job);
  EXPECT_EQ(text(why, "waits_for"), "backoff");
  EXPECT_THAT(text(why, "reason"), HasSubstr("its attempt 1 failed (1 of 2 retries used)"));
}

TEST_F(ExplainTest, AfterARestartItsWorkerHasAGrace) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  restart();
  hello();
  pass(Millis{1000});
  const Json why = explain(token.job);
  EXPECT_EQ(text(why, "waits_for"), "grace");
  EXPECT_THAT(text(why, "reason"), HasSubstr("it ran on ada, which has 5s more"));
}

TEST_F(ExplainTest, TimeInEachStateIsKnownWhileItRunsAndAfterItsEnd) {
  hello();
  JobSpec job = spec();
  job.delay = Millis{1000};
  job.retries = 1;
  const JobId id = accepted(job);
  pass(Millis{3000});  // 1 s of delay, 2 s queued
  join(kAda, ready("ada"));
  Token token = assigned_one(kAda);
  start(kAda, token);
  pass(Millis{4000});  // running
  Json spent = *explain(id).find("spent_ms");
  EXPECT_EQ(number(spent, "waiting"), 1000);
  EXPECT_EQ(number(spent, "queued"), 2000);
  EXPECT_EQ(number(spent, "running"), 4000);

  finish(kAda, token, JobStatus::failed);
  expect_final_ack(kAda);
  while (silent(kAda)) pass(Millis{50});  // the backoff
  token = assigned_one(kAda);
  pass(Millis{500});
  spent = *explain(id).find("spent_ms");
  EXPECT_GE(number(spent, "waiting"), 2000);
  EXPECT_LE(number(spent, "waiting"), 2300);
  EXPECT_EQ(number(spent, "running"), 4500);

  finish(kAda, token);
  expect_final_ack(kAda);
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::succeeded);
  restart();  // from the store alone
  hello();
  const Json why = explain(id);
  EXPECT_EQ(text(why, "status"), "succeeded");
  EXPECT_EQ(text(why, "reason"), "succeeded on ada, attempt 2");
  EXPECT_EQ(number(*why.find("spent_ms"), "waiting"), number(spent, "waiting"));
  EXPECT_EQ(number(*why.find("spent_ms"), "queued"), number(spent, "queued"));
  EXPECT_EQ(number(*why.find("spent_ms"), "running"), 4500);
  EXPECT_EQ(number(*why.find("retries"), "used"), 1);
}

TEST_F(ExplainTest, AFailureTellsItsReasonAndWhatToDo) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  Final m;
  m.batch = 1;
  m.items = {final_entry(token, JobStatus::failed)};
  m.items[0].outcome.error->kind = JobErrorKind::spawn;
  m.items[0].outcome.error->step = "build";
  m.items[0].outcome.error->message = "cannot start 'makee'";
  say(kAda, Role::worker, m);
  expect_final_ack(kAda);
  result(kClient);
  const Json why = explain(token.job);
  EXPECT_EQ(text(why, "reason"), "failed on ada, in step 'build': cannot start 'makee'");
  EXPECT_THAT(text(why, "fix"), HasSubstr("install the program on ada"));
}

TEST_F(ExplainTest, OfAPurgedJobTheStateIsTold) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  finish(kAda, token);
  expect_final_ack(kAda);
  result(kClient);
  protocol::Purge purge;
  purge.jobs = {token.job};
  say(kClient, Role::client, purge);
  next<CancelAck>(kClient);
  const Json why = explain(token.job);
  EXPECT_EQ(text(why, "status"), "succeeded");
  EXPECT_THAT(text(why, "reason"), HasSubstr("purged"));
}

TEST_F(ExplainTest, ABroadcastWaitsForItsJobs) {
  hello();
  join(kAda, ready("ada"));
  join(kBob, ready("bob"));
  JobSpec job = spec();
  job.target.mode = Target::Mode::all;
  const JobId id = submit(job);
  const Token ada = assigned_one(kAda, Gate::overtake);
  const Token bob = assigned_one(kBob, Gate::overtake);
  next<SubmitAck>(kClient);
  Json why = explain(id);
  EXPECT_EQ(text(why, "waits_for"), "jobs");
  EXPECT_THAT(text(why, "reason"), HasSubstr("2 of the 2 jobs"));
  why = explain(ada.job);
  EXPECT_EQ(rule(why, "bob"), "pinned");
  finish(kAda, ada);
  expect_final_ack(kAda);
  finish(kBob, bob);
  expect_final_ack(kBob);
  inbox_[kClient].clear();
  why = explain(id);
  EXPECT_EQ(text(why, "reason"), "succeeded");
}

TEST_F(ExplainTest, AJobThatMustBeAloneWaitsForEmptyHands) {
  hello();
  Ready m = ready("ada", 2);
  join(kAda, m);
  const Token killer = running(spec(), kAda);
  for (int i = 0; i < 2; ++i) {  // its worker is restarted twice
    m.boot.bytes[1] = static_cast<uint8_t>(i + 1);
    join(kAda, m);
    assigned(kAda);
  }
  m.boot.bytes[1] = 9;
  EXPECT_EQ(number(*explain(killer.job).find("retries"), "losses"), 2);
  const JobId other = submit(spec());
  next<SubmitAck>(kClient);
  const Json why = explain(other);
  EXPECT_EQ(rule(why, "ada"), "alone");
  EXPECT_EQ(text(why, "waits_for"), "slot");
}

TEST_F(ExplainTest, ALongAnswerComesInParts) {
  hello();
  for (int i = 0; i < 256; ++i) {
    Ready m = ready(std::to_string(1000 + i));
    m.facts.name += std::string(59, 'n');
    join(SessionId{static_cast<uint64_t>(1000 + i)}, std::move(m));
  }
  JobSpec job = spec();
  job.service = std::string(60, 's');
  Query m;
  m.what = Query::What::explain;
  m.selectors.assign(256, accepted(job).str());
  say(kClient, Role::client, m);
  std::string text;
  size_t parts = 1;
  for (auto answer = next<Answer>(kClient);; answer = next<Answer>(kClient), ++parts) {
    text += answer.text;
    if (!answer.more) break;
  }
  EXPECT_GT(parts, 1u) << text.size();
  const auto whole = Json::parse(text);
  ASSERT_TRUE(whole && whole->as_array() != nullptr);
  EXPECT_EQ(whole->as_array()->size(), 256u);
}

TEST_F(ExplainTest, TooManyJobsInOneQuestionAreRefused) {
  hello();
  Query m;
  m.what = Query::What::explain;
  m.selectors.assign(1000, accepted(spec()).str());
  say(kClient, Role::client, m);
  const auto answer = next<Answer>(kClient);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, Errc::too_large);
}

}  // namespace
}  // namespace zgrid::broker
