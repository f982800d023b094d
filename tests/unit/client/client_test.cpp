// The public client on a real broker and worker in this process.
#include <gtest/gtest.h>
#include <zgrid/client.hpp>

#include <atomic>

#include "client/cli/processes.h"

namespace zgrid {
namespace {

constexpr api::Duration kPatience{30'000};

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cli::App app{{}, {}, *out_, "0.1.0", "here", "me@here"};
    auto folder = cli::TemporaryFolder::make(app.env);
    ASSERT_TRUE(folder);
    folder_.emplace(std::move(*folder));
    cli::LocalGrid::Options options;
    options.settings.broker.bind = {"ipc://" + folder_->path() + "/broker"};
    options.settings.broker.beacon = false;
    options.settings.worker.name = "here";
    options.settings.worker.slots = 2;
    options.settings.worker.state_dir = folder_->path() + "/worker";
    limit(options.settings.broker);
    options.roots = {protocol::derive_root(secret_).value()};
    options.store = "memory";
    log_ = Log::open("error", "text").value();
    options.log = log_.get();
    auto grid = cli::LocalGrid::start(app, std::move(options));
    ASSERT_TRUE(grid) << grid.error().message;
    grid_ = std::move(*grid);
  }
  virtual void limit(conf::BrokerSettings&) {}
  api::Options options() {
    api::Options options;
    options.brokers = {grid_->endpoints().front()};
    options.secret = secret_;
    return options;
  }
  static api::Job echo(const std::string& input) {
    api::Job job;
    job.name = "zgrid.echo";
    job.input = input;
    return job;
  }

  std::unique_ptr<cli::Renderer> out_ = cli::make_quiet_renderer({});
  std::string secret_ = protocol::new_secret();
  std::optional<cli::TemporaryFolder> folder_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<cli::LocalGrid> grid_;
};

class FullClientTest : public ClientTest {
 protected:
  void limit(conf::BrokerSettings& broker) override { broker.queue_jobs_max = 1; }
};

TEST_F(FullClientTest, AFullQueueIsTriedAgainUntilThereIsRoomOrNoTime) {
  auto client = api::Client::connect(options());
  ASSERT_TRUE(client) << client.error().message;
  api::Job later = echo("1");
  later.delay = api::Duration{700};
  ASSERT_TRUE(client->submit(later).wait_accepted(kPatience));
  const auto patient = client->submit(echo("2")).wait(kPatience);
  ASSERT_TRUE(patient) << patient.error().message;
  EXPECT_EQ(patient->output, "2");

  later.delay = api::Duration{60'000};
  const auto last = client->submit(later);
  ASSERT_TRUE(last.wait_accepted(kPatience));
  auto hurried = options();
  hurried.submit_timeout = api::Duration{300};
  auto other = api::Client::connect(hurried);
  ASSERT_TRUE(other);
  const auto refused = other->submit(echo("3")).wait(kPatience);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_full");
  EXPECT_TRUE(refused.error().retryable);
}

class ForgetfulClientTest : public ClientTest {
 protected:
  void limit(conf::BrokerSettings& broker) override { broker.retention_jobs = 1; }
};

TEST_F(ForgetfulClientTest, APurgedResultIsAnErrorAndNoEmptyOutput) {
  auto client = api::Client::connect(options());
  ASSERT_TRUE(client) << client.error().message;
  const auto first = client->submit(echo("1")).wait(kPatience);
  ASSERT_TRUE(first);
  ASSERT_TRUE(client->submit(echo("2")).wait(kPatience));
  // The broker purges when it comes round to it.
  const auto end = std::chrono::steady_clock::now() + kPatience;
  auto again = client->attach(first->job).wait(kPatience);
  while (again && std::chrono::steady_clock::now() < end) {
    again = client->attach(first->job).wait(kPatience);
  }
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, "not_found");
  EXPECT_NE(again.error().message.find("its state was succeeded"), std::string::npos);
}

TEST_F(ClientTest, ManyJobsInFlightEachGetTheirOwnResult) {
  auto client = api::Client::connect(options());
  ASSERT_TRUE(client) << client.error().message;
  std::atomic<int> called = 0;
  std::vector<api::Job> jobs;
  for (int i = 0; i < 2000; ++i) jobs.push_back(echo("[" + std::to_string(i) + "]"));
  const auto handles =
      client->submit(jobs, [&called](const api::Result<api::JobResult>&) { ++called; });
  for (size_t i = 0; i < handles.size(); ++i) {
    const auto result = handles[i].wait(kPatience);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_TRUE(result->ok());
    EXPECT_EQ(result->output, jobs[i].input);
    EXPECT_EQ(result->worker->name, "here");
    EXPECT_EQ(handles[i].wait_accepted(kPatience).value(), result->job);
  }
  EXPECT_EQ(called, 2000);
}

TEST_F(ClientTest, TheSameKeyIsTheSameJob) {
  auto client = api::Client::connect(options());
  ASSERT_TRUE(client);
  api::Job job = echo("{}");
  job.key = "once";
  const auto first = client->submit(job);
  const auto second = client->submit(job);
  const auto a = first.wait(kPatience);
  const auto b = second.wait(kPatience);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->job, b->job);
  job.input = "[1]";
  const auto other = client->submit(job).wait(kPatience);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, "conflict");
  EXPECT_EQ(other.error().effect, api::Effect::none);
}

TEST_F(ClientTest, JobsCanBeListedAttachedToAndCancelled) {
  auto client = api::Client::connect(options());
  ASSERT_TRUE(client);
  api::Job nobody = echo("{}");
  nobody.name = "nobody-offers-this";
  const auto waiting = client->submit(nobody);
  const auto id = waiting.wait_accepted(kPatience);
  ASSERT_TRUE(id);
  const auto early = waiting.wait(api::Duration{10});
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, "timeout");
  const auto listed = client->jobs({}, kPatience);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ(listed->front().status, "queued");
  EXPECT_TRUE(client->cancel(*id, kPatience).value());
  EXPECT_EQ(waiting.wait(kPatience).value().status, "cancelled");
  EXPECT_EQ(client->attach(*id).wait(kPatience).value().status, "cancelled");
  const auto workers = client->workers(kPatience);
  ASSERT_TRUE(workers);
  EXPECT_EQ(workers->at(0).worker.name, "here");
}

TEST_F(ClientTest, WhatIsWrongWithAJobIsToldByItsHandle) {
  auto client = api::Client::connect(options());
  ASSERT_TRUE(client);
  const auto bad = client->submit(echo("{nope")).wait(kPatience);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, "bad_input");
  const auto unknown = client->attach("01890a5d-ac96-774b-bcce-b302099a8057").wait(kPatience);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "not_found");
}

TEST_F(ClientTest, AnotherSecretDoesNotGetIn) {
  api::Options wrong = options();
  wrong.secret = protocol::new_secret();
  const auto client = api::Client::connect(wrong);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, "auth");
  wrong.secret.clear();
  EXPECT_EQ(api::Client::connect(wrong).error().code, "config");
}

TEST_F(ClientTest, AfterTheBrokerIsGoneForGoodEveryCallFails) {
  api::Options brief = options();
  brief.reconnect = api::Duration{50};
  auto client = api::Client::connect(brief);
  ASSERT_TRUE(client);
  api::Job job = echo("{}");
  job.name = "nobody-offers-this";
  const auto open = client->submit(job);
  ASSERT_TRUE(open.wait_accepted(kPatience));
  ASSERT_TRUE(grid_->stop());
  EXPECT_EQ(open.wait(kPatience).error().code, "connection_lost");
  EXPECT_EQ(client->submit(job).wait(kPatience).error().code, "connection_lost");
  EXPECT_FALSE(client->workers(kPatience));
}

}  // namespace
}  // namespace zgrid
