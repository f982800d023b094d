// Decides what a workflow does next. Pure: no process, no clock, no file.
//
// Feed it what happened (on_event, on_step_ended, on_step_failed), then take what is to be
// started with next() as long as there are slots, until state() is not running. What runs then is
// to be ended; its later events are ignored.
//
// A step runs once for each event it accepts; a collecting step once for each N events, or once
// for all that the run will make: when no step that runs, waits or collects can lead to one more.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/job.h"
#include "worker/workflow/definition.h"

namespace zgrid::worker {

// Sums up; one unknown cost makes the sum unknown.
class UsageSum {
 public:
  void add(const Usage& usage);
  [[nodiscard]] const Usage& total() const { return total_; }

 private:
  Usage total_;
  bool any_ = false;
};

using StepRun = uint64_t;  // one run of one step; counts from 1 within a job

class Engine {
 public:
  enum class State : uint8_t { running, done, failed };
  static constexpr size_t kEventsMax = 1'000'000;  // that one job may make: a loop ends here

  struct Start {
    StepRun run = 0;
    const StepDefinition* step = nullptr;
    Event event;                     // of a collecting step: the first one's type, data is a list
    std::vector<std::string> types;  // of a collecting step: each one's type; else empty
  };

  // Each run that next() gave ends once, by on_step_ended or on_step_failed; its events come
  // before. `steps`: ids of those that may run; none = all. An unknown one fails with unknown_step.
  Engine(WorkflowRef workflow, const std::vector<std::string>& steps, Json input);

  [[nodiscard]] std::optional<Start> next();
  [[nodiscard]] bool has_next() const { return !ready_.empty(); }
  void on_event(StepRun run, Event event);
  void on_step_ended(StepRun run);
  void on_step_failed(StepRun run, JobError error);
  void add_usage(const Usage& usage) { usage_.add(usage); }

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool started_any() const { return next_run_ > 1; }
  [[nodiscard]] const Event& result() const { return result_; }  // done
  [[nodiscard]] Event& result() { return result_; }
  [[nodiscard]] const JobError& error() const { return error_; }  // failed
  [[nodiscard]] const Usage& usage() const { return usage_.total(); }

 private:
  struct Pending {
    size_t step = 0;
    std::vector<Event> events;
  };

  void choose(const std::vector<std::string>& steps);
  void deliver(Event event, const std::string& from);
  void make_ready(size_t step, std::vector<Event> events);
  void forget(StepRun run);
  void settle();
  [[nodiscard]] bool fire_collected();
  [[nodiscard]] std::vector<bool> reachable_from_active(size_t except) const;
  void spread(size_t step, std::vector<bool>& reached) const;
  void fail(JobErrorKind kind, std::string message, const std::string& step = {});
  void finish(Event event);

  WorkflowRef workflow_;
  std::vector<bool> chosen_;
  std::deque<Pending> ready_;
  std::map<StepRun, size_t> running_;
  std::vector<size_t> active_;                 // by step: how many are ready or running
  std::vector<std::vector<Event>> collected_;  // by step
  State state_ = State::running;
  Event result_;
  JobError error_;
  UsageSum usage_;
  StepRun next_run_ = 1;
  size_t events_ = 0;
};

}  // namespace zgrid::worker
