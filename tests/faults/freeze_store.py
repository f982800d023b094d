#!/usr/bin/env python3
"""Makes the store of a release, with a job of every kind, for F18 to open for ever after.

Usage: freeze_store.py ZGRID_OF_THE_RELEASE FOLDER

FOLDER gets broker.db, closed in good order; expected.json, what that release said of it; and the
ids of its workers. Run it once for each release whose store differs, and never again: what a
release wrote must always be understood."""

import ctypes
import json
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]

import harness  # noqa: E402

LARGE = "large payloads lie in a table of their own; " * 100
KEYED = ("workflow", "zgrid.echo", "--text", "keyed", "--key", "kept", "--detach")


def ended_jobs(grid):
    grid.ok("submit", "workflow", "zgrid.echo", "--text", "hello")
    grid.ok("submit", "workflow", "zgrid.echo", "--text", LARGE, "--run", "big", "--priority", "7")
    grid.ok("submit", "workflow", "binary")
    grid.ok("submit", *KEYED)
    grid.ok("wait", "last")
    grid.run("submit", "workflow", "fail")
    grid.run("submit", "workflow", "flaky", "--retries", "3")
    grid.run("submit", "workflow", "nap", "--text", "30", "--time-limit", "200ms")
    grid.run("submit", "workflow", "nobody-offers-this", "--deadline", "300ms")
    cancelled = grid.submit("nobody-offers-this", "cancelled")
    grid.ok("cancel", cancelled)
    grid.ok("submit", "workflow", "zgrid.echo", "--text", "everywhere", "--on", "all")
    # Three workers die with it.
    grid.submit("gate", "never", "--on", "cat")
    for attempt in range(3):
        cat = grid.worker("cat", process=f"cat-{attempt}")
        harness.wait_until(lambda: len([start for start in grid.starts()
                                        if start["worker"] == "cat"]) > attempt, 30)
        cat.kill()
    harness.wait_until(lambda: grid.ok("jobs", "--state", "dead_letter", "--json").json["jobs"], 30)


def unfinished_jobs(grid):
    grid.submit("gate", "running", "--run", "open")
    harness.wait_until(lambda: grid.ok("jobs", "--state", "running", "--json").json["jobs"])
    grid.submit("gate", LARGE, "--on", "bob", "--run", "open")
    grid.submit("nobody-offers-this", "queued", "--run", "open", "--priority", "0")
    grid.submit("zgrid.echo", "waiting", "--delay", "8760h", "--run", "open")


def freeze(grid, folder):
    store = grid.dir / "store" / "broker.db"
    broker = grid.broker("--store", str(store))
    workers = [grid.worker("ann"), grid.worker("bob")]
    ended_jobs(grid)
    grid.ok("drain", "bob")
    unfinished_jobs(grid)
    jobs = grid.ok("jobs", "--json", "--limit", "0").json["jobs"]
    expected = {
        "version": grid.ok("version").out.strip(),
        "store": grid.ok("status", "--json").json["broker"]["store"],
        "jobs": jobs,
        "results": [grid.run("result", job["job"], "--json").json for job in jobs
                    if job["status"] not in ("waiting", "queued", "running")],
        "keyed": {"command": KEYED, "job": grid.ok("submit", *KEYED).out.strip()},
        "draining": ["bob"],
    }
    assert broker.end() == 0
    assert not store.with_name("broker.db-wal").exists()  # all of it is in the one file
    for worker in workers:
        worker.kill()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(store, folder / "broker.db")
    for name in ("ann", "bob"):
        for path in (grid.dir / "state" / "zgrid" / f"worker-{name}").glob("*id*"):
            (folder / f"worker-{name}-{path.name}").write_bytes(path.read_bytes())
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n")


def main():
    harness.set_binary(sys.argv[1])
    ctypes.CDLL(None).prctl(harness.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with harness.Grid() as grid:
        freeze(grid, pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
