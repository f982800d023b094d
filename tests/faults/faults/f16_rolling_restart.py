"""Drain and restart workers one after the other, under load

Four ways in turn: SIGTERM and its exit; `zgrid drain`, then SIGTERM, then `zgrid undrain`; SIGTERM
twice, which hands back what runs; and the worker that runs the one long job is stopped so, again
and again. No job has a retry left and three losses end in the dead-letter list, so that a budget
spent by any of it would end a job."""

import signal
import time

import harness
from outcome import Outcome

NAMES = ("ann", "bob", "cid")
EXIT_MAX = 20


def short(env):
    return body(env, restarts=8, rate=25)


def long(env):
    return body(env, restarts=50, rate=60)


def body(env, restarts, rate):
    outcome = Outcome("rolling restart of workers under load", times=restarts)
    with env.grid() as grid:
        grid.broker()
        workers = {name: grid.worker(name, slots=4) for name in NAMES}
        held = grid.load("--service", "held", "--count", 1, "--settle", 120)
        long_job = harness.wait_until(grid.starts, 30, "a start")[0]["job"]
        quick = grid.load("--service", "quick", "--rate", rate, "--window", 5000, "--settle", 120)
        took, moves = [], 0
        for each in range(restarts):
            under_load(grid, rate)
            name = NAMES[each % len(NAMES)]
            way = (exit_drained, drain_first, stop_now, stop_now)[each % 4]
            # The long job would keep a drained worker for ever; so it is what is stopped.
            holder = newest_start(grid, long_job)["worker"]
            if way is stop_now and each % 4 == 3:
                name = holder
            elif name == holder:
                way = stop_now
            moves += name == holder
            grid.history.inject(way.__name__, name)
            at = time.monotonic()
            code = way(grid, workers[name], name)
            took.append(time.monotonic() - at)
            outcome.must(code == 0, f"{name} ended with {code} by {way.__name__}")
            if name == holder:
                harness.wait_until(lambda: newest_start(grid, long_job)["worker"] != name, 20,
                                   "the long job starting elsewhere")
            workers[name] = grid.worker(name, slots=4, process=f"{name}-{each}")
            if way is drain_first:
                grid.ok("undrain", name)
        quick.stop()
        quick.finish(150)
        (grid.jobs_dir / "open").touch()
        held.finish(60)
        verdict = outcome.add(grid.audit())
    outcome.timing("a worker gone after", took)
    outcome.fact(f"the long job was handed back {moves} times")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    return outcome


def under_load(grid, rate):
    """Waits for a third of a second's jobs."""
    wanted = len(grid.starts()) + rate / 3
    harness.wait_until(lambda: len(grid.starts()) >= wanted, 30, "jobs that start")


def newest_start(grid, job):
    return [start for start in grid.starts() if start["job"] == job][-1]


def exit_drained(_, worker, __):
    return worker.end(deadline=EXIT_MAX)


def drain_first(grid, worker, name):
    grid.ok("drain", name)
    def idle():
        mine = [each for each in grid.ok("workers", "--json").json["workers"]
                if each["name"] == name]
        return mine[0]["draining"] and mine[0]["free"] == mine[0]["slots"]
    harness.wait_until(idle, EXIT_MAX, f"{name} being idle")
    return worker.end(deadline=EXIT_MAX)


def stop_now(_, worker, __):
    worker.send(signal.SIGTERM)
    worker.wait_for_log("draining")
    return worker.end(deadline=EXIT_MAX)
