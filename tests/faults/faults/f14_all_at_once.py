"""All workers and clients of a large grid reconnect at once

Thousands of connections break in one moment, because the broker is killed, and all peers knock
again while it starts: each costs both sides a handshake, all within the same seconds. Measured from
the moment when the broker says that it is ready."""

import time

import harness
from outcome import Outcome
from peers import Peers

BACK_MAX = 3.0
PATIENCE = 60


def short(env):
    return body(env, workers=100, clients=100, times=2)


def long(env):
    return body(env, workers=1000, clients=1000, times=10)


def body(env, workers, clients, times):
    outcome = Outcome(f"{workers} workers and {clients} clients reconnect at once", times=times)
    back = []
    with env.grid() as grid:
        broker = grid.broker()
        crowd = Peers(env, grid, "crowd", "--workers", workers, "--clients", clients,
                      "--sweep-ms", 20)
        crowd.wait_until_up(1, PATIENCE)
        for each in range(times):
            broker.kill()
            broker = grid.broker(name=f"broker-{each}")
            ready = time.monotonic()
            back.append(crowd.wait_until_up(each + 2, PATIENCE) / 1e6 - ready)
        # They are not only connected: each is known, and one job goes through.
        online = [worker for worker in grid.ok("workers", "--json").json["workers"]
                  if worker["online"]]
        outcome.must(len(online) == workers, f"{len(online)} workers of {workers} are online")
        grid.ok("submit", "workflow", "zgrid.echo", "--text", "x")
        # It has nothing else to say, and takes long to close so many connections.
        crowd.process.kill()
    outcome.timing("all back after", back)
    env.strict(outcome, max(back) <= BACK_MAX, f"all were back after {max(back):.2f} s")
    return outcome
