#include "worker/workflow/engine.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::worker {

void UsageSum::add(const Usage& usage) {
  total_.input_tokens += usage.input_tokens;
  total_.output_tokens += usage.output_tokens;
  total_.estimated = total_.estimated || usage.estimated;
  if (!any_) {
    total_.cost_usd = usage.cost_usd;
  } else if (total_.cost_usd && usage.cost_usd) {
    *total_.cost_usd += *usage.cost_usd;
  } else {
    total_.cost_usd.reset();
  }
  any_ = true;
}

Engine::Engine(WorkflowRef workflow, const std::vector<std::string>& steps, Json input)
    : workflow_(std::move(workflow)),
      chosen_(workflow_->steps.size(), steps.empty()),
      active_(workflow_->steps.size(), 0),
      collected_(workflow_->steps.size()) {
  choose(steps);
  if (state_ != State::running) return;
  std::string type(kStartEvent);
  if (!steps.empty()) type = workflow_->find(steps.front())->accepts.front();
  deliver(Event{std::move(type), std::move(input)}, "");
  settle();
}

void Engine::choose(const std::vector<std::string>& steps) {
  for (const std::string& id : steps) {
    const StepDefinition* step = workflow_->find(id);
    if (step == nullptr) {
      std::string known;
      for (const StepDefinition& each : workflow_->steps) {
        known += (known.empty() ? "" : ", ") + each.id;
      }
      fail(JobErrorKind::unknown_step,
           "workflow '" + workflow_->name + "' has no step '" + id + "'; its steps are " + known);
      return;
    }
    chosen_[static_cast<size_t>(step - workflow_->steps.data())] = true;
  }
}

std::optional<Engine::Start> Engine::next() {
  if (state_ != State::running || ready_.empty()) return std::nullopt;
  Pending pending = std::move(ready_.front());
  ready_.pop_front();
  Start start;
  start.run = next_run_++;
  start.step = &workflow_->steps[pending.step];
  start.event = std::move(pending.events.front());
  if (start.step->collect != 0) {
    Json::Array list;
    start.types.push_back(start.event.type);
    list.push_back(std::move(start.event.data));
    for (size_t i = 1; i < pending.events.size(); ++i) {
      start.types.push_back(std::move(pending.events[i].type));
      list.push_back(std::move(pending.events[i].data));
    }
    start.event.data = Json(std::move(list));
  }
  running_.emplace(start.run, pending.step);
  return start;
}

void Engine::on_event(StepRun run, Event event) {
  if (state_ != State::running) return;
  const auto found = running_.find(run);
  ZGRID_CHECK(found != running_.end());
  const StepDefinition& step = workflow_->steps[found->second];
  event.type = normal_event_type(event.type);
  if (!step.does_emit(event.type)) {
    std::string known;
    for (const std::string& type : step.emits) known += (known.empty() ? "" : ", ") + type;
    fail(JobErrorKind::workflow,
         "step '" + step.id + "' emitted '" + event.type + "', but its emits are " + known,
         step.id);
    return;
  }
  if (++events_ > kEventsMax) {
    fail(JobErrorKind::workflow,
         "the workflow made more than " + std::to_string(kEventsMax) + " events; is it a loop?",
         step.id);
    return;
  }
  deliver(std::move(event), step.id);
}

void Engine::deliver(Event event, const std::string& from) {
  if (event.type == kStopEvent) return finish(std::move(event));
  std::vector<size_t> takers;
  bool not_chosen = false;
  for (size_t i = 0; i < workflow_->steps.size(); ++i) {
    if (!workflow_->steps[i].does_accept(event.type)) continue;
    if (chosen_[i]) takers.push_back(i);
    not_chosen = not_chosen || !chosen_[i];
  }
  if (takers.empty() && not_chosen) return finish(std::move(event));
  if (takers.empty()) {
    return fail(JobErrorKind::workflow,
                "step '" + from + "' emitted '" + event.type + "', which no step accepts", from);
  }
  for (const size_t i : takers) {
    const uint32_t wanted = workflow_->steps[i].collect;
    Event copy = i == takers.back() ? std::move(event) : event;
    if (wanted == 0) {
      std::vector<Event> alone;
      alone.push_back(std::move(copy));
      make_ready(i, std::move(alone));
      continue;
    }
    collected_[i].push_back(std::move(copy));
    if (collected_[i].size() == wanted) make_ready(i, std::exchange(collected_[i], {}));
  }
}

void Engine::make_ready(size_t step, std::vector<Event> events) {
  ready_.push_back({step, std::move(events)});
  ++active_[step];
}

void Engine::forget(StepRun run) {
  const auto found = running_.find(run);
  ZGRID_CHECK(found != running_.end());
  --active_[found->second];
  running_.erase(found);
}

void Engine::on_step_ended(StepRun run) {
  forget(run);
  if (state_ == State::running) settle();
}

void Engine::on_step_failed(StepRun run, JobError error) {
  forget(run);
  if (state_ != State::running) return;
  state_ = State::failed;
  error_ = std::move(error);
  ready_.clear();
}

// Starts what has collected all, or ends the run if nothing is left that could go on.
void Engine::settle() {
  while (state_ == State::running && fire_collected()) {
  }
  if (state_ != State::running || !running_.empty() || !ready_.empty()) return;
  for (size_t i = 0; i < collected_.size(); ++i) {
    if (collected_[i].empty()) continue;
    const StepDefinition& step = workflow_->steps[i];
    return fail(JobErrorKind::collect_incomplete,
                "step '" + step.id + "' collects " + std::to_string(step.collect) +
                    " events, but " + std::to_string(collected_[i].size()) + " were left",
                step.id);
  }
  fail(JobErrorKind::workflow, "no event is left to handle, and there was no StopEvent");
}

bool Engine::fire_collected() {
  std::optional<size_t> in_a_circle;
  for (size_t i = 0; i < collected_.size(); ++i) {
    if (workflow_->steps[i].collect != kCollectAll || collected_[i].empty()) continue;
    if (!in_a_circle) in_a_circle = i;
    if (reachable_from_active(i)[i]) continue;
    make_ready(i, std::exchange(collected_[i], {}));
    return true;
  }
  // Collecting steps that wait for each other: the first one goes on.
  if (!in_a_circle || !running_.empty() || !ready_.empty()) return false;
  make_ready(*in_a_circle, std::exchange(collected_[*in_a_circle], {}));
  return true;
}

// Which steps may still get an event from what runs, is ready or has collected, not counting what
// `except` has collected itself.
std::vector<bool> Engine::reachable_from_active(size_t except) const {
  std::vector<bool> reached(workflow_->steps.size(), false);
  for (size_t i = 0; i < collected_.size(); ++i) {
    const bool waits_for_all = workflow_->steps[i].collect == kCollectAll;
    const bool has_collected = i != except && waits_for_all && !collected_[i].empty();
    if (active_[i] > 0 || has_collected) spread(i, reached);
  }
  return reached;
}

// Marks what the events of `step` can start, and what those can start.
void Engine::spread(size_t step, std::vector<bool>& reached) const {
  std::vector<size_t> open{step};
  while (!open.empty()) {
    const StepDefinition& from = workflow_->steps[open.back()];
    open.pop_back();
    for (size_t i = 0; i < workflow_->steps.size(); ++i) {
      if (reached[i] || !chosen_[i]) continue;
      const StepDefinition& to = workflow_->steps[i];
      if (std::none_of(from.emits.begin(), from.emits.end(),
                       [&](const std::string& type) { return to.does_accept(type); })) {
        continue;
      }
      reached[i] = true;
      open.push_back(i);
    }
  }
}

void Engine::fail(JobErrorKind kind, std::string message, const std::string& step) {
  state_ = State::failed;
  error_ = {};
  error_.kind = kind;
  error_.message = std::move(message);
  error_.step = step;
  error_.took_effect = started_any();
  ready_.clear();
}

void Engine::finish(Event event) {
  state_ = State::done;
  result_ = std::move(event);
  ready_.clear();
}

}  // namespace zgrid::worker
