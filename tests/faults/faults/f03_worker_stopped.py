"""SIGSTOP a worker past its lease, then let it go on

Its processes go on while it is stopped. Half of them end then: it comes back with results of
attempts that are no longer the job's, which must be refused. The other half still run when it comes
back: it must be told to abort them, while their new attempts go on elsewhere."""

import collections
import signal
import time

import harness
from outcome import Outcome

ABORTED_WITHIN = 20.0  # reconnecting, the welcome that names them, TERM


def short(env):
    return body(env, rounds=2)


def long(env):
    return body(env, rounds=30)


def body(env, rounds):
    outcome = Outcome("a worker stopped past its lease, continued", times=rounds)
    aborted = []
    with env.grid() as grid:
        grid.broker()
        workers = {name: grid.worker(name, slots=8) for name in ("ann", "bob")}
        for each in range(rounds):
            one_round(grid, workers, outcome, aborted, each)
        refused = grid.ok("status", "--json").json["refused"]["stale_results"]
        verdict = outcome.add(grid.audit())
    outcome.timing("told to abort after", aborted)
    outcome.fact(f"{refused} stale results refused")
    outcome.must(refused > 0, "no stale result ever came: nothing was tested")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    return outcome


def one_round(grid, workers, outcome, aborted, number):
    before = len(grid.starts())
    # Each runs until a file of the name of its number exists.
    load = grid.load("--service", "gate", "--count", 6, "--settle", 90, name=f"load-{number}")
    def started():
        mine = grid.starts()[before:]
        return mine if len({start["job"] for start in mine}) == 6 else None
    starts = harness.wait_until(started, 30, "six starts")
    victim = collections.Counter(start["worker"] for start in starts).most_common(1)[0][0]
    old = {start["job"]: start for start in starts if start["worker"] == victim}
    grid.history.inject("stop", victim)
    workers[victim].send(signal.SIGSTOP)
    def again():
        newest = {start["job"]: start for start in grid.starts()[before:]}
        return all(newest[job]["worker"] != victim for job in old)
    harness.wait_until(again, 30, f"what {victim} ran starting elsewhere")

    late, running = list(old)[::2], list(old)[1::2]
    texts = order_of(grid, before)
    for job in late:
        grid.open_gate(texts[job])
    harness.wait_until(lambda: not any(harness.is_alive(int(old[job]["pid"])) for job in late), 20,
                       "the end of the first half")
    at = time.monotonic()
    workers[victim].send(signal.SIGCONT)
    try:
        harness.wait_until(
            lambda: not any(harness.is_alive(int(old[job]["pid"])) for job in running),
            ABORTED_WITHIN, f"{victim} aborting what is no longer its own")
        aborted.append(time.monotonic() - at)
    except AssertionError as error:
        outcome.must(False, str(error))
    for job in set(texts.values()):
        grid.open_gate(job)
    load.finish(120)
    for job in set(texts.values()):
        (grid.jobs_dir / job).unlink()


def order_of(grid, before):
    """What each job of this round waits for: the load numbers its jobs as it submits them."""
    submitted = [rest[0] for _, word, rest in grid.history.lines() if word == "submit"]
    mine = {start["job"] for start in grid.starts()[before:]}
    return {job: str(at) for at, job in enumerate(job for job in submitted if job in mine)}
