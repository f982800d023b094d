"""The disk fills up, and is freed

The store lies on a small tmpfs; a file takes the rest of it. Submits must be refused with 75, jobs
that run must still end (their results fit into what the store keeps in reserve), and once there is
room again the broker must accept again by itself. A broker that ends on a full disk, or that finds
the disk full when it starts, must come back, say so in its status, and do the same."""

import os
import subprocess
import time

import harness
from outcome import Outcome

EXIT_FULL = 75
PAYLOAD = 50_000
RESUMED_MAX = 5.0
# Without --no-queue it would wait for room.
SUBMIT = ("submit", "workflow", "zgrid.echo", "--text", "x", "--detach", "--no-queue")


def short(env):
    return body(env, rounds=2)


def long(env):
    return body(env, rounds=20)


class SmallDisk:
    """A tmpfs, for as long as the context lasts."""

    def __init__(self, env, path, megabytes):
        self.path = path
        self.filler = path / "filler"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700",
                               "zgrid-test", str(path)], capture_output=True, check=False)
        if done.returncode != 0:
            env.skip(f"a tmpfs cannot be mounted: {done.stderr.decode().strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def fill(self):
        fd = os.open(self.filler, os.O_WRONLY | os.O_CREAT, 0o600)
        size = 1 << 20
        try:
            while size:
                try:
                    if os.write(fd, bytes(size)) < size:
                        raise OSError
                except OSError:
                    size //= 2
        finally:
            os.close(fd)

    def free(self):
        self.filler.unlink()


def body(env, rounds):
    outcome = Outcome("the disk is full, then freed", times=rounds)
    resumed, refused = [], []
    with env.grid() as grid, SmallDisk(env, grid.dir / "disk", 64 + 8 * rounds) as disk:
        where = str(disk.path / "store" / "broker.db")
        broker = grid.broker("--store", where)
        grid.worker("ann", slots=4)
        load = grid.load("--rate", 60, "--payload", PAYLOAD, "--no-retry", "--settle", 60)
        for number in range(rounds):
            before = grid.history.acked()
            harness.wait_until(lambda: grid.history.acked() > before + 5, 30, "accepted jobs")
            held = [grid.submit("gate", f"open-{number}") for _ in range(2)]
            for job in held:
                grid.wait_for_start(job)
            grid.history.inject("full", number)
            one_round(grid, outcome, disk, number, held, resumed, refused)
        load.stop()
        summary = load.finish(120)
        for number in range(rounds):
            broker = one_restart(grid, outcome, disk, number, broker, where, resumed)
        broker.kill()
        grid.broker("--store", where, name="broker-again")
        verdict = outcome.add(grid.audit())
        for process in grid.processes:  # the disk must not be busy
            if process.popen.poll() is None:
                process.kill()
    outcome.timing("refused after", refused)
    outcome.timing("accepts again after", resumed)
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    outcome.fact(f"{summary['refused']} refused")
    env.strict(outcome, max(resumed) <= RESUMED_MAX, f"resumed after {max(resumed):.1f} s")
    return outcome


def one_round(grid, outcome, disk, number, held, resumed, refused):
    before = grid.history.count("refuse")
    disk.fill()
    at = time.monotonic()
    harness.wait_until(lambda: grid.history.count("refuse") > before, 60, "a refusal")
    refused.append(time.monotonic() - at)
    done = grid.run(*SUBMIT, "--json")
    outcome.must(done.code == EXIT_FULL and "store" in done.err, f"a submit on a full disk: {done}")
    grid.open_gate(f"open-{number}")
    waited = grid.run("wait", *held)
    outcome.must(waited.code == 0, f"running jobs on a full disk: {waited}")
    disk.free()
    at = time.monotonic()
    harness.wait_until(lambda: grid.run(*SUBMIT).code == 0, 30, "an accepted submit")
    resumed.append(time.monotonic() - at)


def one_restart(grid, outcome, disk, number, broker, where, resumed):
    """The broker is killed, or ends in good order, and is started on a full disk."""
    job = grid.submit("gate", f"restart-{number}")
    grid.wait_for_start(job)
    grid.history.inject("restart on a full disk", number)
    if number % 2 == 0:
        assert broker.end() == 0
        disk.fill()  # also the place of the log, which is gone
    else:
        disk.fill()
        broker.kill()
    broker = grid.broker("--store", where, name=f"broker-full-{number}")
    status = grid.ok("status", "--json").json["broker"]
    outcome.must(not status["admitting"] and "full" in (status["refusing_reason"] or ""),
                 f"the status on a full disk: {status}")
    done = grid.run(*SUBMIT, "--json")
    outcome.must(done.code == EXIT_FULL and "store" in done.err, f"a submit on a full disk: {done}")
    grid.open_gate(f"restart-{number}")
    waited = grid.run("wait", job)
    outcome.must(waited.code == 0, f"a job that ran over a restart on a full disk: {waited}")
    disk.free()
    at = time.monotonic()
    harness.wait_until(lambda: grid.run(*SUBMIT).code == 0, 30, "an accepted submit")
    resumed.append(time.monotonic() - at)
    return broker
