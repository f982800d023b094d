"""The store and the peers of the first release

first-release/ holds a store that the first release wrote (freeze_store.py), with what that release
said of it, and frozen bytes of a client and of a worker. All of it must be understood; the store is
migrated in one transaction, also if the first tries are cut short."""

import calendar
import json
import shutil
import time

import harness
import old_peer
from starts import fails_or_is_ready, sync_fails_at
from outcome import Outcome
from wall_clock import HOUR, YEAR, WallClock

FROZEN = old_peer.HERE / "first-release"
UNFINISHED = ("waiting", "queued", "running")


def short(env):
    return body(env, interrupted=8)


def long(env):
    return body(env, interrupted=60)


def body(env, interrupted):
    expected = json.loads((FROZEN / "expected.json").read_text())
    outcome = Outcome("the first release's store, client and worker", times=0)
    for later in (HOUR, 3 * YEAR):
        open_store(env, outcome, expected, later)
    interrupt_migration(env, outcome, expected, interrupted)
    old_peer.check(env, outcome)
    return outcome


def prepare(env, grid, expected, later):
    """The frozen files in a grid's folders, and a clock so much later than they were made."""
    grid.store.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(FROZEN / "broker.db", grid.store)
    for name in ("ann", "bob"):
        folder = grid.store.parent / f"worker-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(FROZEN / f"worker-{name}-worker-id", folder / "worker-id")
    newest = expected["jobs"][0]["times"]["submitted"]
    clock = WallClock(env, grid.dir / "shift")
    clock.set(calendar.timegm(time.strptime(newest[:19], "%Y-%m-%dT%H:%M:%S")) + later)
    return clock


def differences(expected, got, path=""):
    """What the frozen document has and the new one has not; more fields are no difference."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return [text for key in expected
                for text in differences(expected[key], got.get(key), f"{path}.{key}")]
    return [] if expected == got else [f"{path}: {expected!r} became {got!r}"]


def compare(grid, outcome, expected, when):
    jobs = {job["job"]: job for job in grid.ok("jobs", "--json", "--limit", "0").json["jobs"]}
    for job in expected["jobs"]:
        for text in differences(job, jobs.get(job["job"], {})):
            outcome.must(False, f"{when}: {job['job']}{text}")
    for result in expected["results"]:
        done = grid.run("result", result["job"], "--json")
        if not outcome.must(done.out, f"{when}: no result of {result['job']}: {done}"):
            continue
        for text in differences(result, done.json):
            outcome.must(False, f"{when}: result of {result['job']}{text}")
    outcome.must(grid.ok("status", "--json").json["broker"]["store"] == expected["store"],
                 f"{when}: another store id")


def open_store(env, outcome, expected, later):
    when = f"{later} s later"
    with env.grid() as grid:
        clock = prepare(env, grid, expected, later)
        grid.broker(env=clock.env)
        outcome.times += 1
        compare(grid, outcome, expected, when)
        keyed = expected["keyed"]
        same = grid.ok("submit", *keyed["command"]).out.strip()
        outcome.must(same == keyed["job"], f"{when}: the key {keyed['job']} is {same}")
        other = [word if word != "keyed" else "another body" for word in keyed["command"]]
        done = grid.run("submit", *other)
        outcome.must(done.code == 65, f"{when}: a key with another body: {done}")
        for name in ("ann", "bob"):
            grid.worker(name, env=clock.env)
        workers = {worker["name"]: worker
                   for worker in grid.ok("workers", "--json").json["workers"]}
        draining = [name for name, worker in workers.items() if worker["draining"]]
        outcome.must(sorted(draining) == expected["draining"], f"{when}: draining: {draining}")
        finish_all(grid, outcome, expected, when)


def finish_all(grid, outcome, expected, when):
    """What was unfinished goes on."""
    running = next(job for job in expected["jobs"] if job["status"] == "running")
    started = grid.wait_for_start(running["job"], deadline=20)
    outcome.must(started[0]["attempt"] == "2", f"{when}: attempt {started[0]['attempt']}")
    grid.open_gate("running")
    grid.ok("wait", running["job"])
    grid.ok("undrain", "bob")
    pinned = next(job for job in expected["jobs"]
                  if job["status"] == "queued" and job["name"] == "gate")
    grid.wait_for_start(pinned["job"], deadline=20)
    for job in expected["jobs"]:
        if job["status"] in UNFINISHED:
            grid.run("cancel", job["job"])


def interrupt_migration(env, outcome, expected, count):
    """Each sync of a first start fails once; the next start finds everything."""
    if not shutil.which("strace"):
        outcome.fact("migrations were not interrupted: no strace")
        return
    for number in range(1, count + 1):
        with env.grid() as grid:
            clock = prepare(env, grid, expected, HOUR)
            broker = grid.broker(wait=False, env=clock.env, program=sync_fails_at(env, number))
            if not fails_or_is_ready(broker):
                outcome.must(number > 1, "no sync while the store is opened")
                return
            outcome.times += 1
            outcome.must(broker.popen.wait(15) == 74, f"sync {number}: {broker.log[-300:]}")
            grid.broker(env=clock.env, name="broker-again")
            compare(grid, outcome, expected, f"after sync {number} failed")
