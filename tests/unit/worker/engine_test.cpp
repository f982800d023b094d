#include "worker/workflow/engine.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace zgrid::worker {
namespace {

StepDefinition step(std::string id, std::vector<std::string> accepts,
                    std::vector<std::string> emits, uint32_t collect = 0) {
  StepDefinition made;
  made.id = std::move(id);
  made.accepts = std::move(accepts);
  made.emits = std::move(emits);
  made.collect = collect;
  return made;
}

WorkflowRef workflow(std::vector<StepDefinition> steps) {
  auto made = std::make_shared<WorkflowDefinition>();
  made->name = "w";
  made->steps = std::move(steps);
  return made;
}

Json data(const char* text) { return *Json::parse(text); }

// Drives an engine with steps that answer as a script says.
// The trace has a line for each start: "id(data)".
struct Script {
  // What each run of a step emits: types in order, "!" means that it fails.
  std::map<std::string, std::vector<std::string>> emits;
  size_t slots = 1;
};

std::string play(Engine& engine, const Script& script) {
  std::string trace;
  std::deque<Engine::Start> running;
  int serial = 0;
  while (engine.state() == Engine::State::running) {
    while (running.size() < script.slots) {
      auto start = engine.next();
      if (!start) break;
      trace += start->step->id + "(" + start->event.data.dump() + ") ";
      running.push_back(std::move(*start));
    }
    if (running.empty()) return trace + "stuck";
    const Engine::Start start = std::move(running.front());
    running.pop_front();
    bool failed = false;
    for (const std::string& type : script.emits.at(start.step->id)) {
      if (type == "!") {
        JobError error;
        error.kind = JobErrorKind::workflow;
        error.step = start.step->id;
        error.message = "failed";
        engine.on_step_failed(start.run, error);
        failed = true;
      } else {
        engine.on_event(start.run, {type, Json(++serial)});
      }
    }
    if (!failed) engine.on_step_ended(start.run);
  }
  if (engine.state() == Engine::State::done) {
    return trace + "= " + engine.result().type + " " + engine.result().data.dump();
  }
  return trace + "! " + std::string(job_error_name(engine.error().kind)) + " " +
         engine.error().step + ": " + engine.error().message;
}

struct Row {
  const char* rule;
  std::vector<StepDefinition> steps;
  std::vector<std::string> chosen;
  Script script;
  const char* trace;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    Engine engine(workflow(row.steps), row.chosen, data("{\"in\":1}"));
    EXPECT_EQ(play(engine, row.script), row.trace) << row.rule;
  }
}

const std::vector<StepDefinition> kChain{step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"B"}),
                                         step("c", {"B"}, {"StopEvent"})};

TEST(Engine, events_flow_from_start_to_stop) {
  check({
      {"a chain runs in order",
       kChain,
       {},
       {{{"a", {"A"}}, {"b", {"B"}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) b(1) c(2) = StopEvent 3"},
      {"one event wakes every step that accepts it",
       {step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"B"}), step("c", {"A"}, {"StopEvent"}),
        step("d", {"B"}, {"StopEvent"})},
       {},
       {{{"a", {"A"}}, {"b", {"B"}}, {"c", {"StopEvent"}}, {"d", {"StopEvent"}}}},
       "a({\"in\":1}) b(1) c(1) = StopEvent 3"},
      {"each event is a run of its own",
       {step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"B"}),
        step("c", {"B"}, {"StopEvent"}, 3)},
       {},
       {{{"a", {"A", "A", "A"}}, {"b", {"B"}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) b(1) b(2) b(3) c([4,5,6]) = StopEvent 7"},
      {"a branch is taken by its type",
       {step("a", {"StartEvent"}, {"Yes", "No"}), step("y", {"Yes"}, {"StopEvent"}),
        step("n", {"No"}, {"StopEvent"})},
       {},
       {{{"a", {"No"}}, {"y", {"StopEvent"}}, {"n", {"StopEvent"}}}},
       "a({\"in\":1}) n(1) = StopEvent 2"},
      {"a loop goes on until it stops",
       {step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"A", "StopEvent"})},
       {},
       {{{"a", {"A"}}, {"b", {"StopEvent", "A"}}}},
       "a({\"in\":1}) b(1) = StopEvent 2"},
      {"prefixed types are accepted",
       {step("a", {"StartEvent"}, {"StopEvent"})},
       {},
       {{{"a", {"blazen::StopEvent"}}}},
       "a({\"in\":1}) = StopEvent 1"},
      {"the first StopEvent ends it: what is queued is dropped",
       {step("a", {"StartEvent"}, {"A", "StopEvent"}), step("b", {"A"}, {"StopEvent"})},
       {},
       {{{"a", {"A", "StopEvent", "A"}}, {"b", {"StopEvent"}}}},
       "a({\"in\":1}) = StopEvent 2"},
  });
}

TEST(Engine, what_cannot_go_on_fails) {
  check({
      {"a failing step fails the job",
       kChain,
       {},
       {{{"a", {"A"}}, {"b", {"!"}}}},
       "a({\"in\":1}) b(1) ! workflow b: failed"},
      {"no event left without StopEvent",
       kChain,
       {},
       {{{"a", {}}}},
       "a({\"in\":1}) ! workflow : no event is left to handle, and there was no StopEvent"},
      {"an event that was not announced",
       kChain,
       {},
       {{{"a", {"B"}}}},
       "a({\"in\":1}) ! workflow a: step 'a' emitted 'B', but its emits are A"},
      {"an event that nobody accepts",
       {step("a", {"StartEvent"}, {"Lost"}), step("b", {"StartEvent"}, {"StopEvent"})},
       {},
       {{{"a", {"Lost"}}, {"b", {"StopEvent"}}}},
       "a({\"in\":1}) ! workflow a: step 'a' emitted 'Lost', which no step accepts"},
  });
}

TEST(Engine, collecting) {
  const std::vector<StepDefinition> all{step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"B"}),
                                        step("c", {"B"}, {"StopEvent"}, kCollectAll)};
  const std::vector<StepDefinition> two{step("a", {"StartEvent"}, {"A"}),
                                        step("c", {"A"}, {"C"}, 2),
                                        step("d", {"C"}, {"StopEvent"}, kCollectAll)};
  check({
      {"all: waits for what still runs",
       all,
       {},
       {{{"a", {"A", "A", "A"}}, {"b", {"B"}}, {"c", {"StopEvent"}}}, 2},
       "a({\"in\":1}) b(1) b(2) b(3) c([4,5,6]) = StopEvent 7"},
      {"all: also of one",
       all,
       {},
       {{{"a", {"A"}}, {"b", {"B"}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) b(1) c([2]) = StopEvent 3"},
      {"all: of none is never started",
       all,
       {},
       {{{"a", {"A", "A"}}, {"b", {}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) b(1) b(2) ! workflow : no event is left to handle, and there was no "
       "StopEvent"},
      {"all: does not wait for a branch that cannot lead to it",
       {step("a", {"StartEvent"}, {"A", "X"}), step("c", {"A"}, {"StopEvent"}, kCollectAll),
        step("x", {"X"}, {"Y"}), step("y", {"Y"}, {"StopEvent"})},
       {},
       {{{"a", {"X", "A"}}, {"c", {"StopEvent"}}, {"x", {"Y"}}, {"y", {"StopEvent"}}}, 2},
       "a({\"in\":1}) x(1) c([2]) y(3) = StopEvent 4"},
      {"all after all: the later one waits for the earlier",
       {step("a", {"StartEvent"}, {"A", "B"}), step("late", {"A", "B"}, {"StopEvent"}, kCollectAll),
        step("early", {"B"}, {"A"}, kCollectAll)},
       {},
       {{{"a", {"A", "B"}}, {"early", {"A"}}, {"late", {"StopEvent"}}}},
       "a({\"in\":1}) early([2]) late([1,2,3]) = StopEvent 4"},
      {"all in a circle: the first declared goes on",
       {step("a", {"StartEvent"}, {"A", "B"}), step("p", {"A"}, {"B", "StopEvent"}, kCollectAll),
        step("q", {"B"}, {"A"}, kCollectAll)},
       {},
       {{{"a", {"A", "B"}}, {"p", {"StopEvent"}}, {"q", {"A"}}}},
       "a({\"in\":1}) p([1]) = StopEvent 3"},
      {"N: each N events are a run",
       two,
       {},
       {{{"a", {"A", "A", "A", "A"}}, {"c", {"C"}}, {"d", {"StopEvent"}}}},
       "a({\"in\":1}) c([1,2]) c([3,4]) d([5,6]) = StopEvent 7"},
      {"N: a remainder is an error",
       {step("a", {"StartEvent"}, {"A"}), step("c", {"A"}, {"StopEvent"}, 3)},
       {},
       {{{"a", {"A", "A"}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) ! collect_incomplete c: step 'c' collects 3 events, but 2 were left"},
      {"N: a remainder does not matter after StopEvent",
       {step("a", {"StartEvent"}, {"A", "B"}), step("c", {"A"}, {"StopEvent"}, 3),
        step("d", {"B"}, {"StopEvent"})},
       {},
       {{{"a", {"A", "B"}}, {"c", {"StopEvent"}}, {"d", {"StopEvent"}}}},
       "a({\"in\":1}) d(2) = StopEvent 3"},
      {"one: a list of one",
       {step("a", {"StartEvent"}, {"StopEvent"}, 1)},
       {},
       {{{"a", {"StopEvent"}}}},
       "a([{\"in\":1}]) = StopEvent 1"},
  });
}

TEST(Engine, chosen_steps) {
  check({
      {"only those run; an event for others is the terminal one",
       kChain,
       {"a"},
       {{{"a", {"A"}}}},
       "a({\"in\":1}) = A 1"},
      {"the input takes the first one's type",
       kChain,
       {"b", "c"},
       {{{"b", {"B"}}, {"c", {"StopEvent"}}}},
       "b({\"in\":1}) c(1) = StopEvent 2"},
      {"the first that is named, not the first that is declared",
       kChain,
       {"c", "b"},
       {{{"b", {"B"}}, {"c", {"StopEvent"}}}},
       "c({\"in\":1}) = StopEvent 1"},
      {"an event that a chosen step also accepts is no terminal one",
       {step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"StopEvent"}),
        step("c", {"A"}, {"StopEvent"})},
       {"a", "c"},
       {{{"a", {"A"}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) c(1) = StopEvent 2"},
      {"all of them is the same as none",
       kChain,
       {"a", "b", "c"},
       {{{"a", {"A"}}, {"b", {"B"}}, {"c", {"StopEvent"}}}},
       "a({\"in\":1}) b(1) c(2) = StopEvent 3"},
      {"an unknown one",
       kChain,
       {"a", "z"},
       {},
       "! unknown_step : workflow 'w' has no step 'z'; its steps are a, b, c"},
  });
}

TEST(Engine, a_collected_event_keeps_the_types) {
  Engine engine(workflow({step("a", {"StartEvent"}, {"A", "B"}),
                          step("c", {"A", "B"}, {"StopEvent"}, kCollectAll)}),
                {}, Json::object());
  const auto a = engine.next();
  engine.on_event(a->run, {"B", Json(1)});
  engine.on_event(a->run, {"A", Json(2)});
  EXPECT_FALSE(engine.has_next());
  engine.on_step_ended(a->run);
  const auto c = engine.next();
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->event.type, "B");
  EXPECT_EQ(c->types, (std::vector<std::string>{"B", "A"}));
}

TEST(Engine, nothing_counts_after_the_end) {
  Engine engine(
      workflow({step("a", {"StartEvent"}, {"A", "StopEvent"}), step("b", {"A"}, {"StopEvent"})}),
      {}, Json::object());
  const auto a = engine.next();
  engine.on_event(a->run, {"A", Json(1)});
  const auto b = engine.next();
  engine.on_event(a->run, {"StopEvent", Json(2)});
  engine.on_event(b->run, {"StopEvent", Json(3)});
  engine.on_step_failed(b->run, {});
  engine.on_step_ended(a->run);
  EXPECT_EQ(engine.state(), Engine::State::done);
  EXPECT_EQ(engine.result().data, Json(2));
  EXPECT_FALSE(engine.next().has_value());
}

TEST(Engine, fan_out_of_many_is_quick) {
  Engine engine(workflow({step("a", {"StartEvent"}, {"A"}), step("b", {"A"}, {"B"}),
                          step("c", {"B"}, {"StopEvent"}, kCollectAll)}),
                {}, Json::object());
  Script script{{{"a", std::vector<std::string>(50'000, "A")}, {"b", {"B"}}, {"c", {"StopEvent"}}},
                8};
  const std::string trace = play(engine, script);
  EXPECT_EQ(engine.state(), Engine::State::done);
  EXPECT_EQ(trace.substr(trace.size() - 18), "= StopEvent 100001");
}

TEST(Engine, usage_is_summed_and_one_unknown_cost_makes_it_unknown) {
  UsageSum sum;
  EXPECT_EQ(sum.total().cost_usd, std::nullopt);
  sum.add({10, 1, 0.5, false});
  EXPECT_EQ(sum.total(), (Usage{10, 1, 0.5, false}));
  sum.add({20, 2, 0.25, true});
  EXPECT_EQ(sum.total(), (Usage{30, 3, 0.75, true}));
  sum.add({1, 1, std::nullopt, false});
  EXPECT_EQ(sum.total(), (Usage{31, 4, std::nullopt, true}));
  sum.add({1, 1, 1.0, false});
  EXPECT_EQ(sum.total(), (Usage{32, 5, std::nullopt, true}));
}

}  // namespace
}  // namespace zgrid::worker
