"""Ten times more jobs than the workers can do

The peak is measured first, with a load that waits for results. Then ten times as many are offered
by one that does not: the queue is full at once and stays so. What is done per second must not
sink, and every refusal must be an answer in time."""

import statistics

import harness
from outcome import Outcome

SLOTS = 8
SECONDS_EACH = 0.2  # so that the workers, not the processors, are what is short
QUEUE = 100
REFUSED_MAX = 0.005
GOODPUT_MIN = 0.9

PACED = f"""
[workflow.paced]
[[workflow.paced.step]]
id = "paced"
run = ["sh", "-c", "sleep {SECONDS_EACH}; exec cat"]
stdin = "{{{{data.text}}}}"
"""


def short(env):
    return body(env, seconds=4, times=1)


def long(env):
    return body(env, seconds=20, times=5)


def body(env, seconds, times):
    outcome = Outcome("10 × overload", times=times)
    ratios, p50s, p99s = [], [], []
    with env.grid() as grid:
        (grid.jobs_dir / "paced.toml").write_text(PACED)
        grid.broker(env={"ZGRID_BROKER__QUEUE_JOBS_MAX": str(QUEUE)})
        grid.worker("ann", slots=SLOTS)
        for _ in range(times):
            ratio, refused = one(grid, outcome, seconds)
            ratios.append(ratio)
            p50s.append(refused["p50"])
            p99s.append(refused["p99"])
        verdict = outcome.add(grid.audit(check_starts=False))
    # Of the rounds the one in the middle: a machine has its moments, also the one that asks.
    ratio, p50, p99 = (statistics.median(each) for each in (ratios, p50s, p99s))
    outcome.timing("a refusal: p50", p50s)
    outcome.timing("a refusal: p99", p99s)
    env.strict(outcome, p50 <= REFUSED_MAX, f"half of the refusals took over {p50:.4f} s")
    env.strict(outcome, p99 <= REFUSED_MAX, f"p99 of refusals is {p99:.4f} s")
    outcome.fact(f"goodput {ratio * 100:.0f} % of the peak")
    outcome.must(ratio >= GOODPUT_MIN / 2, f"goodput fell to {ratio * 100:.0f} %")
    env.strict(outcome, ratio >= GOODPUT_MIN, f"goodput fell to {ratio * 100:.0f} %")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    return outcome


def one(grid, outcome, seconds):
    peak = per_second(grid, seconds, "--window", 2 * SLOTS)[0]
    grid.history.inject("overload")
    offered = SLOTS / SECONDS_EACH * 10
    goodput, summary = per_second(grid, seconds, "--rate", offered, "--no-retry",
                                  "--window", 100_000)
    outcome.must(summary["refused"] > offered * seconds / 2,
                 f"only {summary['refused']} of {offered * seconds:.0f} were refused")
    return goodput / peak, {name: us / 1e6 for name, us in summary["refuse_us"].items()}


def per_second(grid, seconds, *args):
    """Results a second while the load submitted, but for its first second; and its summary."""
    begin = harness.time.monotonic_ns() // 1000
    summary = grid.load("--service", "paced", "--seconds", seconds, "--settle", 60,
                        *args).finish(120)
    lines = [(at, word) for at, word, _ in grid.history.lines() if at >= begin]
    first = next(at for at, word in lines if word == "submit") + 1_000_000
    last = first + (seconds - 1) * 1_000_000
    results = sum(word == "result" and first <= at < last for at, word in lines)
    return results / (seconds - 1), summary
