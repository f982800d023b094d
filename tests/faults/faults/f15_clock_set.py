"""The wall clock is set by an hour and a year, both ways, also while the broker is down

Nothing may expire, start or be purged because a clock was set. While the broker runs, deadlines and
delays follow the monotonic clock; while it is down, at most 24 hours count, as nobody can tell a
long rest from a clock that was set. Short deadlines must still work after each change."""

import harness
import history
from outcome import Outcome
from wall_clock import HOUR, YEAR, WallClock

SHIFTS = (HOUR, -HOUR, YEAR, -YEAR)
QUIET = 1.2  # seconds during which nothing may happen: a beat of the broker and more


def short(env):
    return body(env, rounds=1, quiet=QUIET)


def long(env):
    return body(env, rounds=5, quiet=5 * QUIET)


class Sample:
    """Jobs whose states a clock that is set must not change."""

    def __init__(self, grid, deadline, delay):
        self.grid = grid
        self.gate = f"open-{deadline}"
        self.states = {
            grid.submit("nobody-offers-this", "x", "--deadline", deadline): "queued",
            grid.submit("zgrid.echo", "x", "--delay", delay): "waiting",
        }
        self.running = grid.submit("gate", self.gate, "--deadline", deadline, "--time-limit", "10m")
        grid.wait_for_start(self.running)
        self.states[self.running] = "running"
        self.ended = grid.submit("zgrid.echo", "kept", "--key", self.gate)
        grid.ok("wait", self.ended)
        self.states[self.ended] = "succeeded"

    def problem(self):
        """What differs now, or nothing."""
        listed = self.grid.ok("jobs", "--json", "--limit", "0").json["jobs"]
        jobs = {job["job"]: job for job in listed}
        for job, status in self.states.items():
            now = jobs.get(job, {"status": "gone"})["status"]
            if now != status:
                return f"{job} was {status} and is {now}"
        if self.grid.run("result", self.ended).out != "kept":
            return f"the result of {self.ended} is gone"
        if self.grid.submit("zgrid.echo", "kept", "--key", self.gate) != self.ended:
            return f"the key of {self.ended} is forgotten"
        return None


def stays(samples, seconds):
    """The first problem of any within so many seconds."""
    end = history.micros() + seconds * 1e6
    while True:
        for sample in samples:
            problem = sample.problem()
            if problem:
                return problem
        if history.micros() > end:
            return None
        harness.pause(0.05)


def timers_work(grid):
    """A deadline and a delay of half a second each."""
    late = grid.submit("nobody-offers-this", "x", "--deadline", "500ms")
    delayed = grid.submit("zgrid.echo", "x", "--delay", "500ms")
    grid.run("wait", late, delayed)
    return (grid.job(late)["status"], grid.job(delayed)["status"]) == ("timed_out", "succeeded")


def body(env, rounds, quiet):
    outcome = Outcome("wall clock ±1 h, ±1 year; running and down", times=2 * rounds * len(SHIFTS))
    with env.grid() as grid:
        clock = WallClock(env, grid.dir / "shift")
        broker = grid.broker(env=clock.env)
        grid.worker("ann", env=clock.env, slots=8)
        seconds = Sample(grid, "10m", "10m")  # of the true time, while the broker runs
        days = Sample(grid, "720h", "720h")   # more than all that may count while it is down
        for _ in range(rounds):
            for shift in SHIFTS:
                clock.shift(shift)
                problem = stays((seconds, days), quiet)
                outcome.must(not problem, f"set by {shift} s: {problem}")
                outcome.must(timers_work(grid), f"set by {shift} s: timers do not work")
            clock.shift(0)
        for number in range(rounds):
            for shift in SHIFTS:
                broker.end()
                clock.shift(shift)
                broker = grid.broker(env=clock.env, name=f"broker-{number}-{shift}")
                problem = stays((days,), quiet)
                outcome.must(not problem, f"set by {shift} s while down: {problem}")
                outcome.must(timers_work(grid), f"set by {shift} s while down: no timers")
            clock.shift(0)
        grid.open_gate(days.gate)
        done = grid.run("wait", days.running)
        outcome.must(done.code == 0, f"the job that ran all the time: {done}")
        starts = [start for start in grid.starts() if start["job"] == days.running]
        outcome.must(len(starts) == 1, f"it was started {len(starts)} times")
    return outcome
