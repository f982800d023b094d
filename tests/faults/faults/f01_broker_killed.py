"""kill -9 the broker under load

Half of the load are echoes as fast as they go, so that every kill hits commits and sends under way;
the rest are processes that record their starts, so that one that ran on and was started again is
seen. Workers are left alone: they keep results until acknowledged and come back by themselves."""

import time

import harness
from outcome import Outcome


def short(env):
    return body(env, kills=25, seconds=0.7, rate=600, acked=4000)


def long(env):
    return body(env, kills=200, seconds=1.2, rate=2500, acked=100_000)


def body(env, kills, seconds, rate, acked):
    outcome = Outcome("kill -9 the broker under load", times=kills)
    first = []
    with env.grid() as grid:
        broker = grid.broker()
        for name in ("ann", "bob"):
            grid.worker(name, slots=4)
        echoes = grid.load("--rate", rate, "--window", 20_000, "--settle", 120)
        processes = grid.load("--service", "quick", "--rate", 20, "--window", 200, "--settle", 120)
        for kill in range(kills):
            harness.pause(seconds)
            grid.history.inject("kill", kill)
            broker.kill()
            at = time.monotonic()
            broker = grid.broker(name=f"broker-{kill}")
            first.append(time.monotonic() - at)
        echoes.stop()
        processes.stop()
        echoes.finish(180)
        processes.finish(180)
        verdict = outcome.add(grid.audit())
    outcome.timing("start until ready", first)
    outcome.must(not verdict.restarted, f"started again: {verdict.restarted[:3]}")
    outcome.must(verdict.acked >= acked, f"only {verdict.acked} jobs were acknowledged")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    outcome.fact(f"{verdict.submitted} submitted")
    return outcome
