"""Cancel jobs in every state, also while the state changes

States: waiting for its time, queued with no free slot, running, running with children and one that
left its session, about to end (the race), ended. Each job has one terminal state, which no later
cancel changes; cancelled processes and all their descendants are gone."""

import concurrent.futures
import json
import random
import time

import harness
from outcome import Outcome, percentile

CANCEL_P99 = 0.5
ENDED = ("succeeded", "cancelled")

# Says where its processes are. The second one has left the session.
CROWD = """
[workflow.crowd]
[[workflow.crowd.step]]
id = "crowd"
run = ["sh", "record.sh", "sleep 300 & echo $! >> pids; setsid sleep 300 & echo $! >> pids; wait"]
stdin = "{{data.text}}"
"""


def short(env):
    return body(env, races=60, together=4)


def long(env):
    return body(env, races=1000, together=4)


def body(env, races, together):
    outcome = Outcome("cancel in every state", times=races)
    with env.grid() as grid:
        (grid.jobs_dir / "crowd.toml").write_text(CROWD)
        grid.broker()
        grid.worker("ann", slots=8)
        # Holds every slot of its own worker, so that what is pinned to it stays queued.
        grid.worker("busy", slots=1)
        grid.submit("held", "x", "--on", "busy")
        harness.wait_until(grid.starts, 30, "a start")
        states = (waiting, queued, running, crowd, ending, ended)
        with concurrent.futures.ThreadPoolExecutor(together) as pool:
            done = list(pool.map(lambda i: race(grid, states[i % len(states)], i), range(races)))
        (grid.jobs_dir / "open").touch()
        took = {}
        for state, job, seconds, problem, status in done:
            took.setdefault(state, []).append(seconds)
            outcome.must(not problem, f"{state} {job}: {problem}")
        check_ends(grid, outcome, done)
        verdict = outcome.add(grid.audit())
        gone(grid, outcome)
    for state in took:
        outcome.timing(f"cancel of {state}", took[state])
    outcome.must(verdict.pending == 0, f"{verdict.pending} jobs never ended")
    for state, seconds in took.items():
        env.strict(outcome, percentile(seconds, 0.99) <= CANCEL_P99,
                   f"p99 of cancelling {state}: {percentile(seconds, 0.99):.3f} s")
    both = {status for state, _, __, ___, status in done if state == "ending"}
    outcome.fact(f"races ended as {', '.join(sorted(both))}")
    env.strict(outcome, len(both) == 2, f"every race ended as {both}: the state never changed")
    return outcome


# Each brings a job into its state; the job and what its cancel may end with.
def waiting(grid, _):
    return submit(grid, "quick", "--delay", "1h"), ("cancelled",)


def queued(grid, _):
    return submit(grid, "quick", "--on", "busy"), ("cancelled",)


def running(grid, _):
    job = submit(grid, "nap", text="300")
    grid.wait_for_start(job, deadline=30)
    return job, ("cancelled",)


def crowd(grid, _):
    job = submit(grid, "crowd")
    grid.wait_for_start(job, deadline=30)
    return job, ("cancelled",)


def ending(grid, number):
    """Ends about when it is cancelled: from well before to well after."""
    seconds = random.Random(number).uniform(0, 0.06)
    job = submit(grid, "nap", text=f"{seconds:.3f}")
    return job, ENDED


def ended(grid, _):
    job = submit(grid, "quick", text="1")
    grid.ok("wait", job, timeout=60)
    return job, ("succeeded",)


def submit(grid, workflow, *args, text="0"):
    job = grid.submit(workflow, text, "--on", "ann", *args) if "--on" not in args else (
        grid.submit(workflow, text, *args))
    grid.history.write("submit", job)
    grid.history.write("ack", job, "queued", 0)
    return job


def race(grid, state, number):
    """(state, job, seconds from the cancel to its answer, what was wrong, its status)"""
    job, allowed = state(grid, number)
    at = time.monotonic()
    done = grid.run("cancel", job, timeout=60)
    seconds = time.monotonic() - at
    status = grid.job(job)["status"]
    problem = ""
    if done.code not in (0, 1) or (done.code == 0) != (status == "cancelled"):
        problem = f"cancel ended with {done.code} and the job is {status}: {done.err}"
    elif status not in allowed:
        problem = f"it is {status}"
    return state.__name__, job, seconds, problem, status


def check_ends(grid, outcome, done):
    """A second cancel changes nothing, nor does time."""
    jobs = [entry[1] for entry in done]
    grid.run("cancel", "-", input="\n".join(jobs).encode(), timeout=60)
    waited = grid.run("wait", "-", "--json", input="\n".join(jobs).encode(), timeout=60)
    now = {}
    for line in waited.out.splitlines():
        result = json.loads(line)
        now[result["job"]] = result["status"]
    for state, job, _, __, status in done:
        outcome.must(now.get(job) == status, f"{state} {job}: {status} became {now.get(job)}")


def gone(grid, outcome):
    path = grid.jobs_dir / "pids"
    pids = [int(line) for line in path.read_text().split()] if path.exists() else []
    pids += [int(start["pid"]) for start in grid.starts()]
    try:
        harness.wait_until(lambda: not any(harness.is_alive(pid) for pid in pids), 10,
                           "the end of all processes")
    except AssertionError as error:
        left = [pid for pid in pids if harness.is_alive(pid)]
        outcome.must(False, f"{error}: {left}")
