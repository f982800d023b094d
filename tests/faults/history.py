"""The append-only history of a fault test, and what must be true of it.

One line each, as it happened: microseconds of CLOCK_MONOTONIC, a word, and what belongs to it.
load.cpp writes what clients did and heard (its head lists the words); the tests add `inject WHAT`
and, from `zgrid jobs`, `status JOB STATUS ATTEMPT SINCE` (asked at SINCE). Started attempts come
from the file `starts`, to which the steps of recorded workflows write themselves
(tests/e2e/jobs/record.sh)."""

import collections
import os
import time

TERMINAL = {"succeeded", "failed", "timed_out", "cancelled", "aborted", "dead_letter"}


def micros():
    return time.monotonic_ns() // 1000


class History:
    def __init__(self, path):
        self.path = path
        path.touch()

    def write(self, word, *rest):
        """Appends one line; whole, as O_APPEND keeps writers apart."""
        line = " ".join([str(micros()), word, *(str(item) for item in rest)]) + "\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    def inject(self, *what):
        self.write("inject", *what)

    def poll(self, grid):
        """Writes the state of every job as the broker tells it now."""
        since = micros()
        for job in grid.ok("jobs", "--json", "--limit", "0", timeout=60).json["jobs"]:
            self.write("status", job["job"], job["status"], job["attempt"] or 0, since)

    def lines(self):
        """(microseconds, word, the rest) of each whole line, up to one that is being written."""
        with open(self.path, encoding="ascii", errors="replace") as file:
            for line in file:
                if not line.endswith("\n"):
                    return
                at, word, *rest = line.split()
                yield int(at), word, rest

    def count(self, word):
        return sum(1 for _, each, _ in self.lines() if each == word)

    def acked(self):
        return self.count("ack")


class Verdict:
    """What the checker found. Each list names jobs, with the reason."""

    def __init__(self):
        self.submitted = 0
        self.acked = 0
        self.refused = 0
        self.ended = collections.Counter()  # by status, of acknowledged jobs
        self.injected = []  # when
        self.pending = 0
        self.lost = []       # acknowledged, and neither ended nor pending
        self.twice = []      # two different accepted results
        self.stale = []      # a result of an attempt that was not the last one assigned
        self.illegal = []    # a terminal state left, or an attempt number that went down
        self.wrong = []      # an output that the input does not explain
        self.restarted = []  # started more than once: allowed after the loss of a worker
        # Started, then forgotten with the broker that had not acknowledged them, submitted again
        # and started again: a first assignment may leave before its commit.
        self.unpromised = []

    @property
    def violations(self):
        return [f"{name}: {text}" for name in ("lost", "twice", "stale", "illegal", "wrong")
                for text in getattr(self, name)]


class _Job:
    __slots__ = ("acked", "results", "unknown", "pending", "ended", "attempt", "illegal",
                 "submitted_at", "acked_at")

    def __init__(self):
        self.acked = self.unknown = self.pending = False
        self.results = set()    # (attempt, status, worker, hash)
        self.ended = None       # the first terminal state that was seen, and when it was known
        self.attempt = (0, 0)   # the highest that was seen, and when it was known
        self.illegal = None
        self.submitted_at = self.acked_at = 0

    def see(self, status, attempt, since, at):
        """The job was in this state at some moment between the two."""
        if self.ended and status != self.ended[0] and since > self.ended[1]:
            self.illegal = self.illegal or f"{self.ended[0]} became {status}"
        if attempt is not None:
            if attempt < self.attempt[0] and since > self.attempt[1]:
                self.illegal = self.illegal or f"attempt {self.attempt[0]} became {attempt}"
            if attempt > self.attempt[0]:
                self.attempt = (attempt, at)
        if status in TERMINAL and not self.ended:
            self.ended = (status, at)


def _read(history):
    jobs = collections.defaultdict(_Job)
    verdict = Verdict()
    for at, word, rest in sorted(history.lines(), key=lambda line: line[0]):
        if word == "submit":
            verdict.submitted += 1
            jobs[rest[0]].submitted_at = jobs[rest[0]].submitted_at or at
        elif word == "inject":
            verdict.injected.append(at)
        elif word == "ack":
            jobs[rest[0]].acked = True
            jobs[rest[0]].acked_at = jobs[rest[0]].acked_at or at
        elif word == "refuse":
            verdict.refused += 1
        elif word in ("result", "final"):
            job = jobs[rest[0]]
            job.results.add(tuple(rest[1:]))
            job.unknown = False
            job.see(rest[2], int(rest[1]), 0, at)
        elif word == "status":
            jobs[rest[0]].see(rest[1], int(rest[2]), int(rest[3]), at)
        elif word == "pending":
            jobs[rest[0]].pending = True
            jobs[rest[0]].see(rest[1], None, int(rest[2]), at)
        elif word == "unknown":
            jobs[rest[0]].unknown = True
        elif word == "wrong":
            verdict.wrong.append(rest[0])
    return jobs, verdict


def check(history, starts=()):
    """The verdict over a history; `starts` are dicts as harness.Grid.starts() has them.

    Pending counts only if the last audit or load said so of the job."""
    jobs, verdict = _read(history)
    started = collections.defaultdict(list)
    for start in starts:
        started[start["job"]].append(int(start["attempt"]))
    for name, job in jobs.items():
        if job.illegal:
            verdict.illegal.append(f"{name}: {job.illegal}")
        if len(job.results) > 1:
            verdict.twice.append(f"{name}: {sorted(job.results)}")
        for attempt, *_ in job.results:
            last = max(started[name], default=0)
            if last > int(attempt):
                verdict.stale.append(f"{name}: attempt {attempt} was accepted, {last} had started")
        if not job.acked:
            continue
        verdict.acked += 1
        if job.results and not job.unknown:
            verdict.ended[next(iter(job.results))[1]] += 1
        elif job.pending and not job.unknown:
            verdict.pending += 1
        else:
            verdict.lost.append(name)
    for name, attempts in started.items():
        if len(attempts) < 2:
            continue
        job = jobs[name]
        faults = sum(job.submitted_at < at < job.acked_at for at in verdict.injected)
        forgotten = len(set(attempts)) == 1 and len(attempts) <= 1 + faults
        (verdict.unpromised if forgotten else verdict.restarted).append(
            f"{name}: attempts {attempts}")
    return verdict
