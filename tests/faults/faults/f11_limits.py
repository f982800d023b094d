"""File descriptors run out at the broker; a worker's system starts no process

Descriptors: a broker with few of them meets more idle connections than it has. It must stop
accepting with some in hand, go on serving the members it has, keep its processor quiet, and let new
members in again when the idle ones are gone.

Processes: clone fails with EAGAIN in a worker (layer/no_processes.cpp). What it was given must go
elsewhere, or wait; and no budget may be spent, so jobs without a retry all succeed."""

import os
import pathlib
import socket
import time

import harness
from outcome import Outcome

LIMIT = 256
BACK_MAX = 3.0
PATIENCE = 30.0


def short(env):
    return body(env, rounds=1, idle=400, seconds=3)


def long(env):
    return body(env, rounds=10, idle=2000, seconds=10)


def body(env, rounds, idle, seconds):
    outcome = Outcome("descriptors run out; fork refused", times=2 * rounds)
    descriptors(env, outcome, rounds, idle, seconds)
    for _ in range(rounds):
        processes(env, outcome)
    return outcome


# ---- descriptors -------------------------------------------------------------------------


def descriptors(env, outcome, rounds, idle, seconds):
    back, waited, busy, most = [], [], [], 0
    with env.grid() as grid:
        broker = grid.broker(program=["prlimit", f"--nofile={LIMIT}:{LIMIT}", harness.binary()])
        grid.worker("ann", slots=4)
        load = grid.load("--service", "quick", "--rate", 20, "--window", 1000, "--settle", 90)
        harness.wait_until(lambda: grid.history.acked() > 0, 30, "an acknowledgement")
        for _ in range(rounds):
            grid.history.inject("idle", idle)
            crowd = Crowd(grid.port, idle)
            end = time.monotonic() + seconds
            acked, cpu = grid.history.acked(), cpu_seconds(broker.pid)
            while time.monotonic() < end:
                crowd.fill()
                most = max(most, len(os.listdir(f"/proc/{broker.pid}/fd")))
                harness.pause(0.05)
            busy.append((cpu_seconds(broker.pid) - cpu) / seconds)
            # Members that were there are served all the time.
            outcome.must(grid.history.acked() > acked, "nothing was acknowledged meanwhile")
            crowd.close()
            at = time.monotonic()
            grid.ok("submit", "workflow", "zgrid.echo", "--text", "x", timeout=PATIENCE)
            back.append(time.monotonic() - at)
        load.stop()
        load.finish(120)
        verdict = outcome.add(grid.audit())
    outcome.timing("a new client served after", back)
    outcome.fact(f"at most {most} of {LIMIT} descriptors in use")
    outcome.fact(f"the broker took {max(busy) * 100:.0f} % of a core")
    env.strict(outcome, max(busy) < 0.5, f"the broker took {max(busy):.2f} cores")
    env.strict(outcome, max(back) <= BACK_MAX, f"a new client waited {max(back):.2f} s")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")


class Crowd:
    """Connections that say nothing; whoever is thrown out comes again."""

    def __init__(self, port, size):
        self.address = ("127.0.0.1", port)
        self.size = size
        self.sockets = []

    def fill(self):
        self.sockets = [each for each in self.sockets if self.is_open(each)]
        while len(self.sockets) < self.size:
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(self.address)
            self.sockets.append(each)

    @staticmethod
    def is_open(each):
        try:
            open_still = each.recv(4096) != b""
        except BlockingIOError:
            return True
        except OSError:
            open_still = False
        if not open_still:
            each.close()
        return open_still

    def close(self):
        for each in self.sockets:
            each.close()
        self.sockets = []


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- processes ---------------------------------------------------------------------------


def processes(env, outcome):
    with env.grid() as grid:
        switch = grid.dir / "refuse"
        grid.broker()
        layer = {"LD_PRELOAD": env.layer("no_processes"), "NO_PROCESSES_WHILE": str(switch)}
        grid.worker("ann", slots=4, env=layer)
        # Alone: the jobs wait for the worker to be well again.
        switch.touch()
        alone = grid.load("--service", "quick", "--count", 8, "--settle", 60)
        harness.wait_until(lambda: highest_attempt(grid) >= 5, 30, "jobs given back often")
        outcome.must(not grid.starts(), "a process was started: nothing was tested")
        attempts = highest_attempt(grid)
        switch.unlink()
        alone.finish(90)
        # With another one: the jobs run there.
        grid.worker("bob", slots=4)
        switch.touch()
        before = len(grid.starts())
        both = grid.load("--service", "quick", "--rate", 40, "--seconds", 2, "--settle", 60)
        both.finish(90)
        elsewhere = {start["worker"] for start in grid.starts()[before:]}
        verdict = outcome.add(grid.audit())
    outcome.fact(f"given back up to {attempts - 1} times")
    outcome.must(elsewhere == {"bob"}, f"they ran on {elsewhere}")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")


def highest_attempt(grid):
    jobs = grid.ok("jobs", "--json", "--limit", "0").json["jobs"]
    return max((job["attempt"] or 0 for job in jobs), default=0)
