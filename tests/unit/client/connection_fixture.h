// A connection against a broker that the test plays, past its welcome if the test wants that.
#pragma once

#include "client/connection.h"
#include "tests/unit/client/fake_broker.h"

namespace zgrid::client {

class ConnectionTest : public ::testing::Test {
 protected:
  using What = protocol::LinkEvent::What;

  void open(std::vector<std::string> endpoints = {"tcp://127.0.0.1:5670"}, size_t keys = 1,
            bool submit_ahead = false) {
    Connection::Options options;
    options.endpoints = std::move(endpoints);
    options.keys.resize(keys);
    for (size_t i = 0; i < keys; ++i) options.keys[i].server_public_key = "key" + std::to_string(i);
    options.user_host = "me@here";
    options.submit_ahead = submit_ahead;
    options.clock = broker_.clock();
    options.open_dealer = broker_.opener();
    connection_.emplace(std::move(options), heard_);
  }
  void turn() { connection_->run(Millis{0}); }
  void open_and_welcome() {
    open();
    broker_.link(What::ready);
    EXPECT_EQ(broker_.take<protocol::Hello>().user_host, "me@here");
    broker_.welcome();
    turn();
    ASSERT_TRUE(connection_->is_up());
  }
  void reconnect(uint8_t store = 1) {
    broker_.link(What::disconnected);
    broker_.link(What::ready);
    turn();
    broker_.take<protocol::Hello>();
    broker_.welcome(store);
    turn();
  }
  JobId submit(std::string_view input = "{}", SubmitFlags flags = {}, std::string key = {}) {
    Submission submission;
    submission.spec = spec_;
    submission.entry.id = ids_.next(broker_.now.wall);
    submission.entry.input.data = Bytes::copy_of(input);
    submission.entry.key = std::move(key);
    const JobId id = submission.entry.id;
    connection_->submit(std::move(submission), flags, connection_->deadline_in(Seconds{30}));
    return id;
  }
  static protocol::Results results_of(const JobId& job) {
    protocol::Results results;
    WorkerFacts facts;
    facts.name = "gpu1";
    results.workers.push_back(std::make_shared<const WorkerFacts>(facts));
    results.heads.push_back({JobKind::workflow, "zgrid.echo", ""});
    protocol::ResultEntry entry;
    entry.job = job;
    entry.attempt = 1;
    entry.worker = 0;
    results.items.push_back(entry);
    return results;
  }
  static JobSpec echo() {
    JobSpec spec;
    spec.service = "zgrid.echo";
    return spec;
  }

  FakeBroker broker_;
  Heard heard_;
  JobIds ids_;
  SpecRef spec_ = protocol::make_spec(echo());
  std::optional<Connection> connection_;
};

}  // namespace zgrid::client
