"""kill -9 a worker that runs jobs

Three workers share a steady load of half-second processes. One after the other is killed; what it
ran must start elsewhere, which is measured from the kill to the first line of the new process. The
dead worker comes back only then, so that nothing but the end of its lease can free its jobs.

A job that two workers died of runs alone from then on, and waits until one has nothing else to do:
such starts are told of, but not held against the promise. Which ones those are the broker is asked:
a process that dies before it wrote its first line counts for the broker, but leaves no start."""

import time

import harness
from outcome import Outcome, percentile

NAMES = ("ann", "bob", "cid")
ELSEWHERE_MAX = 3.5  # promise 5: the lease of 3 s and what noticing and starting take
ELSEWHERE_P99 = 4.0
ALONE_AFTER = 2  # losses
PATIENCE = 20.0  # the short form only wants it to happen


def short(env):
    return body(env, kills=4, rate=8, slots=4)


def long(env):
    return body(env, kills=100, rate=16, slots=8)


def body(env, kills, rate, slots):
    outcome = Outcome("kill -9 a worker mid-job", times=kills)
    moved, alone = [], []
    with env.grid() as grid:
        grid.broker()
        workers = {name: grid.worker(name, slots=slots) for name in NAMES}
        load = grid.load("--service", "steady", "--rate", rate, "--window", 1000, "--settle", 60)
        for kill in range(kills):
            name = NAMES[kill % len(NAMES)]
            victims = harness.wait_until(lambda: running_on(grid, name), 30, f"a job on {name}")
            grid.history.inject("kill", name)
            at = time.time()
            workers[name].kill()
            for seconds, losses in wait_until_elsewhere(
                    grid, name, victims | running_on(grid, name), at):
                (moved if losses < ALONE_AFTER else alone).append(seconds)
            workers[name] = grid.worker(name, slots=slots, process=f"{name}-{kill}")
        load.stop()
        load.finish(120)
        verdict = outcome.add(grid.audit())
    outcome.timing("running elsewhere after", moved)
    if alone:
        outcome.timing("alone after two losses", alone)
    outcome.must(verdict.pending == 0, f"{verdict.pending} jobs never ended")
    allowed = verdict.ended["succeeded"] + verdict.ended["dead_letter"]
    outcome.must(allowed == verdict.acked, f"ended as {dict(verdict.ended)}")
    outcome.must(len(moved) >= kills / 2, f"only {len(moved)} jobs were hit by {kills} kills")
    if moved:
        p50, p99 = percentile(moved, 0.5), percentile(moved, 0.99)
        env.strict(outcome, p50 <= ELSEWHERE_MAX, f"half of the jobs took over {p50:.2f} s")
        env.strict(outcome, p99 <= ELSEWHERE_P99, f"p99 of running elsewhere: {p99:.2f} s")
    return outcome


def ended(grid):
    return {rest[0] for _, word, rest in grid.history.lines() if word == "result"}


def running_on(grid, name):
    """Jobs whose newest start is on this worker and of which no result is known."""
    newest = {start["job"]: start["worker"] for start in grid.starts()}
    done = ended(grid)
    return {job for job, worker in newest.items() if worker == name and job not in done}


def wait_until_elsewhere(grid, name, victims, at):
    """For each: the seconds from `at` to its next start, and its losses. None for one whose result
    was in time."""
    def open_jobs():
        newest = {start["job"]: start for start in grid.starts()}
        done = ended(grid)
        return [job for job in victims
                if newest[job]["worker"] == name and job not in done]
    harness.wait_until(lambda: not open_jobs(), PATIENCE, f"what {name} ran starting elsewhere")
    newest = {start["job"]: start for start in grid.starts()}
    return [(float(newest[job]["at"]) - at, losses_of(grid, newest[job]))
            for job in victims if newest[job]["worker"] != name]


def losses_of(grid, start):
    before = int(start["attempt"]) - 1
    if before < ALONE_AFTER:
        return before
    return grid.ok("explain", start["job"], "--json").json["retries"]["losses"]
