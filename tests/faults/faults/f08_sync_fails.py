"""fdatasync fails with EIO, at each of the first syncs

strace makes one sync fail, of the thread that comes to its n-th first: the store's, which
writes what is much, or the loop, which writes what is little. The broker must stop with 74: it
cannot know what the disk has. The layer `unsynced` sees the failed sync as none, and the test
goes on with what was synced before, so that whatever was acknowledged on the strength of a
failed sync is found lost. Syncs before the broker is ready are the main thread's; they have
starts of their own."""

import shutil
import subprocess

import harness
from outcome import Outcome
from power import PowerCuts
from starts import failing_sync, fails_or_is_ready, sync_fails_at

EXIT_IO = 74


def short(env):
    return body(env, syncs=(1, 2, 3, 9, 33), starts=6)


def long(env):
    # The first 50, and some among which are those of checkpoints.
    return body(env, syncs=(*range(1, 51), *range(100, 1001, 75)), starts=30)


def body(env, syncs, starts):
    if not shutil.which("strace"):
        env.skip("strace is not installed")
    outcome = Outcome("EIO from fdatasync and fsync", times=0)
    during_starts(env, outcome, starts)
    under_load(env, outcome, syncs)
    return outcome


def during_starts(env, outcome, count):
    """A new store, and one that was left by a kill: the n-th sync of the start fails."""
    for kind in ("new", "killed"):
        with env.grid() as grid:
            for number in range(1, count + 1):
                where = grid.dir / f"store-{number}" / "broker.db"
                job = None
                if kind == "killed":
                    broker = grid.broker("--store", str(where), name=f"before-{number}")
                    job = grid.submit("zgrid.echo", "kept")
                    broker.kill()
                broker = grid.broker("--store", str(where), wait=False, name=f"broker-{number}",
                                     program=sync_fails_at(env, number))
                if not fails_or_is_ready(broker):
                    outcome.must(broker.end() in (0, EXIT_IO), f"{kind} store: a strange end")
                    outcome.must(number > 1, f"no sync at all while a {kind} store is opened")
                    break
                outcome.times += 1
                code = broker.popen.wait(15)
                outcome.must(code == EXIT_IO, f"{kind} store, sync {number}: exit {code}")
                told = [line for line in broker.log.splitlines() if line.startswith("zgrid: ")]
                said = told[-1] if told else broker.log[-300:]
                outcome.must(said.startswith("zgrid: ") and str(grid.dir) in said,
                             f"{kind} store, sync {number}: no clear message: {said}")
                again = grid.broker("--store", str(where), name=f"again-{number}")
                if job:
                    outcome.must(grid.job(job)["status"] == "queued", f"{job} is lost")
                again.kill()


def under_load(env, outcome, syncs):
    with env.grid() as grid:
        power = PowerCuts(env, grid)
        power.start()
        grid.worker("ann", slots=4)
        load = grid.load("--rate", 400, "--window", 3000, "--settle", 120)
        for number in syncs:
            before = grid.history.acked()
            harness.wait_until(lambda: grid.history.acked() > before + 20, 30, "acknowledgements")
            broker = power.broker
            grid.history.inject("eio", number)
            log = grid.dir / f"strace-{number}"
            with open(log, "wb") as file:
                strace = subprocess.Popen(["strace", "-f", *failing_sync(number), "-p",
                                           str(broker.pid)], stdout=file, stderr=file)
            grid.adopt(strace)
            try:
                code = harness.wait_until(broker.popen.poll, 60, "the broker's end")
            except AssertionError:
                if "attach" in log.read_text(errors="replace"):
                    env.skip("strace may not attach to other processes here")
                raise
            finally:
                strace.kill()
                strace.wait()
            outcome.times += 1
            outcome.must(code == EXIT_IO, f"sync {number}: exit {code}")
            outcome.must(str(power.folder) in broker.log, f"no path in: {broker.log[-300:]}")
            power.cut()
            power.start()
        load.stop()
        load.finish(180)
        verdict = outcome.add(grid.audit())
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
