"""SIGSTOP the broker for longer than a lease, then let it go on

The silence was the broker's own: no living worker may be declared lost, so no job may start again.
Jobs end and begin all the time while it is stopped, and some run through."""

import signal
import time

import harness
from outcome import Outcome


def short(env):
    return body(env, seconds=5, times=1)


def long(env):
    return body(env, seconds=30, times=3)


def body(env, seconds, times):
    outcome = Outcome(f"the broker stopped for {seconds} s", times=times)
    with env.grid() as grid:
        broker = grid.broker()
        workers = [grid.worker(name, slots=8) for name in ("ann", "bob", "cid")]
        held = grid.load("--service", "held", "--count", 6, "--settle", 120)
        steady = grid.load("--service", "steady", "--rate", 8, "--window", 400, "--settle", 120)
        harness.wait_until(lambda: len(grid.starts()) >= 12, 30, "jobs that run")
        back = []
        for each in range(times):
            broker.send(signal.SIGSTOP)
            grid.history.inject("stop", each)
            harness.pause(seconds)
            before = len(grid.starts())
            broker.send(signal.SIGCONT)
            at = time.monotonic()
            harness.wait_until(lambda: len(grid.starts()) > before, 30, "a start after it went on")
            back.append(time.monotonic() - at)
            harness.pause(1)  # what was to be declared lost would be by now
        online = [worker for worker in grid.ok("workers", "--json").json["workers"]
                  if worker["online"]]
        outcome.must(len(online) == len(workers), f"{len(online)} workers online of 3")
        steady.stop()
        (grid.jobs_dir / "open").touch()
        for load in (held, steady):
            load.finish(180)
        verdict = outcome.add(grid.audit())
    outcome.timing("jobs start again after", back)
    outcome.must(not verdict.restarted, f"started again: {verdict.restarted[:3]}")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    return outcome
