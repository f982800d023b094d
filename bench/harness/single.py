"""The rows that are no ratio of two sides: memory, restart, idle cost, and the core by itself."""
import json
import os
import time

from harness.lab import Grid, cpu_seconds, output_of, resident_bytes, until

SETTLE_SECONDS = 5  # what follows a start is not idle
MANY_IN_FLIGHT = {"ZGRID_BROKER__IN_FLIGHT_MAX": "100000000"}


def queued(lab, jobs, payload=200, store="sqlite"):
    """Fills a broker that has no workers; then kills it (-9) and starts it again."""
    with Grid(lab, store, workers=0, settings=MANY_IN_FLIGHT) as grid:
        empty = resident_bytes(grid.broker)
        load = grid.load("--jobs", jobs, "--payload", payload, "--queue", "--window", 4000)
        row = {"jobs": jobs, "payload": payload, "accepted_per_s": load["jobs_per_s"],
               "bytes_per_job": (resident_bytes(grid.broker) - empty) / jobs}
        if store != "memory":
            grid.broker.kill()
            grid.broker.wait()
            grid.start_workers(1, wait=False)  # it waits for its broker
            begun = time.monotonic()
            row["ready_s"] = grid.start_broker()
            # Seldom, for asking is work, too.
            until(lambda: grid.succeeded() > 0, "the first dispatch", pause=0.05)
            row["first_dispatch_s"] = time.monotonic() - begun
        return row


def idle(lab, workers=100, seconds=20):
    """CPU of the broker in % of a core, with workers that have nothing to do."""
    with Grid(lab, "sqlite", workers=workers) as grid:
        time.sleep(SETTLE_SECONDS)
        used, begun = cpu_seconds(grid.broker), time.monotonic()
        time.sleep(seconds)
        return 100 * (cpu_seconds(grid.broker) - used) / (time.monotonic() - begun)


def matching(lab, rounds=20, jobs=10_000_000, workers=10_000):
    """CPU of a job in the core alone, in virtual time: with so many workers over that with one."""
    text = output_of([lab.program("bench/sim/bench_sim"), "--json", "--workers", f"1,{workers}",
                      "--jobs", str(jobs), "--rounds", str(rounds)], timeout=600)
    return json.loads(text)["rows"][1]["ratios"]


def rows(lab, pairs):
    """The measured values of each row of bars.json that belongs here."""
    million = [queued(lab, 1_000_000) for _ in range(max(1, pairs // 2))]
    return {
        "queued-memory": [run["bytes_per_job"] for run in million],
        "restart": [run["first_dispatch_s"] for run in million],
        "idle": [idle(lab)],
        "matching-cost": matching(lab),
    }


def describe(lab):
    """The machine, for the report."""
    def field(path, name):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.partition(":" if path.startswith("/proc") else "=")
                if key.strip() == name:
                    return value.strip().strip('"')
        return ""

    system = output_of(["df", "--output=fstype", lab.folder]).split()[-1]
    return {"cores": os.cpu_count(), "cpu": field("/proc/cpuinfo", "model name"),
            "os": field("/etc/os-release", "PRETTY_NAME"), "kernel": os.uname().release,
            "filesystem": system}
