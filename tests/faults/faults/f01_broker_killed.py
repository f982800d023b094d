"""kill -9 the broker under load; a power cut; a store that does not sync

Killed: half of the load are echoes as fast as they go, so that every kill hits commits and sends
under way; the rest are processes that record their starts, so that one that ran on and was started
again is seen. Workers are left alone: they keep results until acknowledged and come back.

Power cut: a kill leaves the page cache, so the layer `unsynced` keeps what was synced, and the test
puts that in place of the store's files. To prove that this can fail, the last round runs a broker
with `synchronous = OFF` planted (a hook that release builds lack), which must lose jobs."""

import pathlib
import time

import harness
import history
from outcome import Outcome
from power import PowerCuts

PLANT = "PLANT_STORE_WITHOUT_SYNC"


def short(env):
    return body(env, kills=25, seconds=0.4, rate=500, acked=2000, cuts=6, queued=2000)


def long(env):
    return body(env, kills=200, seconds=0.5, rate=2500, acked=100_000, cuts=40, queued=100_000)


def body(env, kills, seconds, rate, acked, cuts, queued):
    outcome = Outcome("kill -9 the broker under load; power cuts", times=kills + cuts)
    kill_under_load(env, outcome, kills, seconds, rate, acked)
    cut_power(env, outcome, cuts, seconds, rate)
    prove_that_a_cut_shows_missing_syncs(env, outcome, seconds, rate)
    first_dispatch(env, outcome, queued)
    return outcome


def kill_under_load(env, outcome, kills, seconds, rate, acked):
    ready, first = [], []
    with env.grid() as grid:
        broker = grid.broker()
        for name in ("ann", "bob"):
            grid.worker(name, slots=4)
        echoes = grid.load("--rate", rate, "--window", 4000, "--settle", 120)
        processes = grid.load("--service", "quick", "--rate", 20, "--window", 200, "--settle", 120)
        for kill in range(kills):
            harness.pause(seconds)
            before = len(grid.starts())
            grid.history.inject("kill", kill)
            broker.kill()
            at = time.monotonic()
            broker = grid.broker(name=f"broker-{kill}", wait=False)
            broker.wait_for_log("broker ready", 60)
            ready.append(time.monotonic() - at)
            harness.wait_until(lambda: len(grid.starts()) > before, 30, "a start after the kill")
            first.append(time.monotonic() - at)
        for load in (echoes, processes):
            load.stop()
        for load in (echoes, processes):
            load.finish(180)
        verdict = outcome.add(grid.audit())
    outcome.timing("broker ready after", ready)
    outcome.timing("first process started after", first)
    outcome.must(not verdict.restarted, f"started again: {verdict.restarted[:3]}")
    if verdict.unpromised:
        outcome.fact(f"{len(verdict.unpromised)} unacknowledged jobs started again")
    outcome.must(verdict.acked >= acked, f"only {verdict.acked} jobs were acknowledged")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")


def cut_power(env, outcome, cuts, seconds, rate):
    with env.grid() as grid:
        power = PowerCuts(env, grid)
        power.start()
        grid.worker("ann", slots=4)
        load = grid.load("--rate", rate, "--window", 5000, "--settle", 120)
        for _ in range(cuts):
            harness.pause(seconds)
            power.cut()
            power.start()
        load.stop()
        load.finish(180)
        verdict = outcome.add(grid.audit())
    outcome.must(verdict.acked > cuts * seconds * rate / 4, f"{verdict.acked} acknowledged in all")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")


def prove_that_a_cut_shows_missing_syncs(env, outcome, seconds, rate):
    if PLANT.encode() not in pathlib.Path(env.zgrid).read_bytes():
        outcome.fact("a missing sync was not planted: built without ZGRID_TEST_HOOKS")
        return
    with env.grid() as grid:
        power = PowerCuts(env, grid, {PLANT: "1"})
        power.start()
        load = grid.load("--rate", rate, "--window", 5000, "--settle", 0)
        harness.wait_until(lambda: grid.history.acked() > 100, 30, "acknowledged jobs")
        harness.pause(seconds)
        power.cut()
        load.stop()
        power.start()
        load.finish(60)
        grid.load("--settle", 0.5, mode="audit").finish()
        lost = len(history.check(grid.history).lost)
    if outcome.must(lost > 0, "a store without syncs was not noticed: this test proves nothing"):
        outcome.fact(f"planted synchronous=OFF: {lost} lost, so it is noticed")


def first_dispatch(env, outcome, queued):
    """How long after its start a broker with a long queue assigns the first job."""
    with env.grid() as grid:
        broker = grid.broker()
        grid.load("--no-watch", "--count", queued, "--window", 10_000, "--settle", 300).finish(400)
        # One that records its start, ahead of all.
        grid.submit("quick", "1", "--priority", "9")
        broker.kill()
        grid.worker("ann", wait=False)
        at = time.monotonic()
        broker = grid.broker(name="broker-again")
        start = harness.wait_until(grid.starts, 60, "the first start")[0]
        took = float(start["at"]) - (time.time() - (time.monotonic() - at))
    outcome.timing(f"first dispatch with {queued} queued", took)
    if env.long:
        outcome.must(took <= 1, f"the first dispatch took {took:.2f} s")
