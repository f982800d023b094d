// A broker in a bottle: dealers without sockets whose other end a test plays, and a clock that a
// test moves. What the client sent must be taken by the test: expect_silence() checks that.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/connection.h"

namespace zgrid::client {

class FakeBroker {
 public:
  struct Wire {
    std::string endpoint;
    std::string server_key;
    std::deque<protocol::Frames> to_broker, to_client;
    std::vector<protocol::LinkEvent> events;
    bool is_full = false;
    int sleeps = 0;  // how often the client waited on it
  };

  OpenDealer opener() {
    return [this](protocol::Dealer::Options options) -> Result<std::unique_ptr<protocol::Dealer>> {
      auto wire = std::make_shared<Wire>();
      wire->server_key = options.server_public_key;
      wires.push_back(wire);
      return std::make_unique<FakeDealer>(wire);
    };
  }
  Clock clock() {
    return [this] { return now; };
  }
  void pass(Micros duration) {
    now.mono = now.mono + duration;
    now.wall = now.wall + duration;
  }

  [[nodiscard]] Wire& wire(size_t i = 0) { return *wires.at(i); }
  void link(protocol::LinkEvent::What what, size_t i = 0) {
    wire(i).events.push_back({what, wire(i).endpoint, 0});
  }
  void say(const protocol::Message& message, size_t i = 0) {
    wire(i).to_client.push_back(protocol::encode(message));
  }
  void welcome(uint8_t store = 1, size_t i = 0) {
    protocol::Welcome welcome;
    welcome.store.bytes[0] = store;
    say(welcome, i);
  }
  // The next message of the client, which must be a T.
  template <class T>
  T take(size_t i = 0) {
    if (wire(i).to_broker.empty()) {
      ADD_FAILURE() << "the client sent nothing";
      return {};
    }
    auto message = protocol::decode(wire(i).to_broker.front());
    wire(i).to_broker.pop_front();
    if (!message || !std::holds_alternative<T>(*message)) {
      ADD_FAILURE() << "the client sent something else";
      return {};
    }
    return std::get<T>(std::move(*message));
  }
  void expect_silence(size_t i = 0) { EXPECT_TRUE(wire(i).to_broker.empty()); }

  Now now{MonoTime{Micros{1'000'000}}, WallTime{1'700'000'000'000'000}};
  std::vector<std::shared_ptr<Wire>> wires;

 private:
  class FakeDealer final : public protocol::Dealer {
   public:
    explicit FakeDealer(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
    Result<void> connect(const std::string& endpoint) override {
      if (endpoint.find("://") == std::string::npos) return fail(Errc::usage, "no endpoint");
      wire_->endpoint = endpoint;
      return {};
    }
    bool receive(protocol::Frames& into) override {
      if (wire_->to_client.empty()) return false;
      into = std::move(wire_->to_client.front());
      wire_->to_client.pop_front();
      return true;
    }
    bool send(const protocol::Frames& frames) override {
      if (wire_->is_full) return false;
      wire_->to_broker.push_back(frames);
      return true;
    }
    std::vector<protocol::LinkEvent> link_events() override {
      return std::exchange(wire_->events, {});
    }
    void wait(Millis, std::span<const int>) override { ++wire_->sleeps; }
    void wake() override {}

   private:
    std::shared_ptr<Wire> wire_;
  };
};

// Writes down what it hears.
class Heard final : public Listener {
 public:
  struct Acceptance {
    JobId submitted, job;
    bool duplicate = false;
    std::vector<JobId> children;
  };
  void on_accepted(const Accepted& a) override {
    accepted.push_back({a.submitted, a.job, a.duplicate, {a.children.begin(), a.children.end()}});
  }
  void on_refused(const JobId& job, const Error& error) override {
    refused.emplace_back(job, error);
  }
  void on_result(const ResultView& result) override {
    results.push_back(result.entry);
    workers.push_back(result.worker ? result.worker->name : "");
    names.push_back(result.head.name);
  }
  void on_event(const JobId& job, uint32_t, JobEvent& event) override {
    events.emplace_back(job, event);
  }
  void on_unknown(const JobId& job) override { unknown.push_back(job); }
  void on_lost(const Error& error) override { lost.push_back(error); }

  std::vector<Acceptance> accepted;
  std::vector<std::pair<JobId, Error>> refused;
  std::vector<protocol::ResultEntry> results;
  std::vector<std::string> workers, names;
  std::vector<std::pair<JobId, JobEvent>> events;
  std::vector<JobId> unknown;
  std::vector<Error> lost;
};

}  // namespace zgrid::client
