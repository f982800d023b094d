"""Cut the network both ways and one way, lose 30 % of it, delay it by 500 ms

Broker, worker and client are hosts of their own (hosts.py), so that what is cut is the cable and
not a process: nobody is told. Worker and client lose the broker at the same time, for longer than a
lease, so that jobs run elsewhere and the load has much to say afterwards. Recovered means that the
worker has started a job again and the client has heard of an acceptance.

Delay: worker and client reach the broker through delay_proxy.py. Half a second each way is no loss:
no job may start again. Then the proxies hold everything back for longer than a lease, deliver it
late, and are quick until the next round."""

import signal
import socket
import sys
import time

import harness
from hosts import Hosts, NotAllowed
from outcome import Outcome

RECOVERED_MAX = 3.0
PATIENCE = 30.0
DELAY = 0.5
PAST_LEASE = 4.0


def short(env):
    return body(env, rounds=1, rate=20, loss=4, delay=4)


def long(env):
    return body(env, rounds=10, rate=100, loss=30, delay=60)


def body(env, rounds, rate, loss, delay):
    outcome = Outcome("the network cut, lossy, slow", times=rounds * 5)
    try:
        with Hosts("broker", "ann", "bob", "client") as hosts:
            on_cables(env, outcome, hosts, rounds, rate, loss)
    except NotAllowed as reason:
        env.note(f"no network namespaces: {reason}")
        outcome.fact(f"cuts and losses skipped: {reason}")
    on_slow_lines(env, outcome, rounds, rate, delay)
    return outcome


# ---- hosts and cables --------------------------------------------------------------------


def on_cables(env, outcome, hosts, rounds, rate, loss):
    recovered = {}
    with env.grid() as grid:
        grid.host = hosts.address("broker")
        grid.load_prefix = hosts.prefix("client")
        grid.env["ZGRID_GRID__PEERS"] = grid.endpoint
        grid.start("broker", "--bind", grid.endpoint, "--no-beacon", name="broker",
                   program=[*hosts.prefix("broker"), harness.binary()]).wait_for_log("broker ready")
        for name in ("ann", "bob"):
            worker_on(grid, name, 4, program=[*hosts.prefix(name), harness.binary()])
        load = grid.load("--service", "quick", "--rate", rate, "--window", 50_000,
                         "--settle", 120)
        wait_for_news(grid, "at first")
        for _ in range(rounds):
            for fault, seconds in ((both_ways, PAST_LEASE), (unheard, PAST_LEASE),
                                   (deaf, PAST_LEASE), (lossy, loss)):
                grid.history.inject(fault.__name__)
                fault(hosts)
                harness.pause(seconds)
                hosts.heal()
                took = wait_for_news(grid, f"after {fault.__name__}")
                recovered.setdefault(fault.__name__, []).append(took)
        load.stop()
        load.finish(180)
        verdict = outcome.add(grid.audit())
    judge(env, outcome, verdict, recovered)


def both_ways(hosts):
    for host in ("ann", "client"):
        hosts.cut_both(host, "broker")


def unheard(hosts):
    for host in ("ann", "client"):
        hosts.cut(host, "broker")


def deaf(hosts):
    for host in ("ann", "client"):
        hosts.cut("broker", host)


def lossy(hosts):
    hosts.lose(30)


# ---- slow lines --------------------------------------------------------------------------


def on_slow_lines(env, outcome, rounds, rate, seconds):
    recovered = {}
    with env.grid() as grid:
        grid.broker()
        proxies = [proxy(grid, f"proxy-{each}") for each in range(2)]
        lines = [f"tcp://127.0.0.1:{port}" for _, port in proxies]
        # Named, not a peer: or it would find the broker itself by its beacons.
        # A slot takes no more than one job for each round trip of a second.
        worker_on(grid, "ann", 4 * rate, "--broker", lines[0])
        load = grid.load("--service", "quick", "--rate", rate, "--window", 50_000,
                         "--settle", 120, broker=lines[1])
        wait_for_news(grid, "at first")
        before = len(grid.starts())
        harness.pause(seconds)
        outcome.must(len(grid.starts()) > before, "nothing started over slow lines")
        starts = grid.starts()
        again = len(starts) - len({start["job"] for start in starts})
        outcome.must(again == 0, f"{again} jobs started again because of a delay")
        for _ in range(rounds):
            grid.history.inject("hold")
            signal_all(proxies, signal.SIGUSR1)
            harness.pause(PAST_LEASE)
            signal_all(proxies, signal.SIGUSR1, signal.SIGUSR2)
            recovered.setdefault("late delivery", []).append(wait_for_news(grid, "after a hold"))
            signal_all(proxies, signal.SIGUSR2)
        load.stop()
        load.finish(180)
        verdict = outcome.add(grid.audit())
    judge(env, outcome, verdict, recovered)


def signal_all(proxies, *signals):
    for process, _ in proxies:
        for each in signals:
            process.send(each)


def proxy(grid, name):
    port = harness.free_port(socket.SOCK_STREAM)
    process = grid.start(f"127.0.0.1:{port}", f"127.0.0.1:{grid.port}", str(DELAY), name=name,
                         program=[sys.executable, harness.ROOT / "tests/faults/delay_proxy.py"])
    return process.wait_for_log("ready"), port


# ---- both --------------------------------------------------------------------------------


def worker_on(grid, name, slots, *args, **options):
    grid.start("worker", "--name", name, "--slots", str(slots), "--workflows",
               str(grid.jobs_dir), *args, name=name, **options).wait_for_log(f"worker {name} ready")


def wait_for_news(grid, when):
    """Seconds until ann has started a job and the client has heard of an acceptance, from now."""
    since = time.monotonic()
    started, acked = started_on_ann(grid), grid.history.acked()
    harness.wait_until(lambda: started_on_ann(grid) > started and grid.history.acked() > acked,
                       PATIENCE, f"a start on ann and an acknowledgement {when}")
    return time.monotonic() - since


def started_on_ann(grid):
    return sum(start["worker"] == "ann" for start in grid.starts())


def judge(env, outcome, verdict, recovered):
    for fault, took in recovered.items():
        outcome.timing(f"{fault}: recovered after", took)
        env.strict(outcome, max(took) <= RECOVERED_MAX,
                   f"{fault}: recovered after {max(took):.2f} s")
    ended = verdict.ended["succeeded"] + verdict.ended["dead_letter"]
    outcome.must(ended == verdict.acked and verdict.pending == 0,
                 f"of {verdict.acked} ended {dict(verdict.ended)}")
