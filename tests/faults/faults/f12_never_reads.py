"""One client of fifty never reads

It goes on submitting at a rate that the workers can do, wants every result, and takes none. The
broker must not keep them for it beyond a bound, and the others must not wait for it. Each round
measures the others beside a client that submits as much, as many at once, and reads; and then
beside it.

Another client reads, but over a slow line: results of many times what the broker keeps for it
arrive whole, each once, as fast as the line is. It submits all at once, faster than the disk
writes, and is put off rather than kept in memory."""

import pathlib
import socket
import sys

import harness
from outcome import Outcome
from peers import Peers

OTHERS = 49
RATE = 1000  # jobs a second of the one that does not read
BATCH = 50  # of them at once: half a megabyte
PAYLOAD = 10_000
MEMORY_MAX = 64 << 20
SLOWER_MAX = 1.5


SLOW_LINE = 8 << 20  # bytes a second
LARGE = 1 << 20
# 64 MiB that wait for the disk, 64 of inputs that wait for a worker, the store's cache, and what is
# on its way to worker and client.
SLOW_LINE_MEMORY_MAX = 256 << 20


def short(env):
    return slow_line(env, body(env, rounds=1, seconds=4, rate=200), jobs=60)


def long(env):
    return slow_line(env, body(env, rounds=5, seconds=20, rate=500), jobs=500)


def body(env, rounds, seconds, rate):
    outcome = Outcome("one client of 50 never reads", times=rounds)
    grown, ratios = [], []
    for _ in range(rounds):
        with env.grid() as grid:
            broker = grid.broker()
            grid.worker("ann", slots=4)
            crowd = ("--clients", OTHERS, "--rate", rate, "--seconds", seconds)
            load = ("--payload", PAYLOAD, "--rate", RATE, "--batch", BATCH)
            reader = Peers(env, grid, "crowd", "--clients", 1, *load)
            before = Peers(env, grid, "crowd", *crowd).finish(seconds + 60)
            reader.stop()
            # What it keeps of ended jobs and in its pools is there by now.
            memory = resident(broker.pid)
            mute = Peers(env, grid, "mute", *load)
            mute.wait_for_word("muted", 30)
            beside = Peers(env, grid, "crowd", *crowd).finish(seconds + 90)
            grown.append(peak(broker.pid) - memory)
            ratios.append(beside["p99_us"] / before["p99_us"])
            mute.stop()
            for summary in (before, beside):
                outcome.must(summary["ended"] == summary["submitted"],
                             f"only {summary['ended']} of {summary['submitted']} ended")
            outcome.must(broker.popen.poll() is None, "the broker is gone")
    ratios.sort()
    ratio = ratios[len(ratios) // 2]
    outcome.fact(f"broker + {max(grown) / 2**20:.0f} MiB")
    outcome.fact(f"p99 of the others × {ratio:.2f}")
    outcome.must(max(grown) <= MEMORY_MAX, f"the broker grew by {max(grown) / 2**20:.0f} MiB")
    env.strict(outcome, ratio <= SLOWER_MAX, f"p99 of the others rose to × {ratio:.2f}")
    return outcome


def slow_line(env, outcome, jobs):
    with env.grid() as grid:
        broker = grid.broker()
        grid.worker("ann", slots=4)
        port = harness.free_port(socket.SOCK_STREAM)
        proxy = grid.start(f"127.0.0.1:{port}", f"127.0.0.1:{grid.port}", "0", str(SLOW_LINE),
                           name="slow-line",
                           program=[sys.executable, harness.ROOT / "tests/faults/delay_proxy.py"])
        proxy.wait_for_log("ready")
        memory = resident(broker.pid)
        settle = 60 + 4 * jobs * LARGE // SLOW_LINE
        load = grid.load("--count", str(jobs), "--window", str(jobs), "--payload", str(LARGE),
                         "--settle", str(settle), broker=f"tcp://127.0.0.1:{port}")
        summary = load.finish(60 + settle)
        outcome.must(summary["code"] == 0, f"not all results came over a slow line: {summary}")
        grown = peak(broker.pid) - memory
        outcome.fact(f"slow line: {jobs} MiB, broker + {grown / 2**20:.0f} MiB")
        outcome.must(grown <= SLOW_LINE_MEMORY_MAX,
                     f"the broker grew by {grown / 2**20:.0f} MiB for a slow line")
        outcome.add(grid.audit())
    return outcome


def status(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {name}")


def resident(pid):
    return status(pid, "VmRSS")


def peak(pid):
    return status(pid, "VmHWM")
