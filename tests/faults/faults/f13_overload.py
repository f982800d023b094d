"""Ten times more jobs than the workers can do

The peak is measured first, with a load that waits for results. Then ten times as many are offered
by one that does not: the queue is full at once and stays so. What is done per second must not
sink, and every refusal must be an answer in time."""

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
    ratios = []
    with env.grid() as grid:
        (grid.jobs_dir / "paced.toml").write_text(PACED)
        grid.broker(env={"ZGRID_BROKER__QUEUE_JOBS_MAX": str(QUEUE)})
        grid.worker("ann", slots=SLOTS)
        for _ in range(times):
            ratios.append(one(env, grid, outcome, seconds))
        verdict = outcome.add(grid.audit(check_starts=False))
    ratios.sort()
    ratio = ratios[len(ratios) // 2]
    outcome.fact(f"goodput {ratio * 100:.0f} % of the peak")
    outcome.must(ratio >= GOODPUT_MIN / 2, f"goodput fell to {ratio * 100:.0f} %")
    env.strict(outcome, ratio >= GOODPUT_MIN, f"goodput fell to {ratio * 100:.0f} %")
    outcome.must(verdict.ended["succeeded"] == verdict.acked, f"ended as {dict(verdict.ended)}")
    return outcome


def one(env, grid, outcome, seconds):
    peak = per_second(grid, seconds, "--window", 2 * SLOTS)[0]
    grid.history.inject("overload")
    offered = SLOTS / SECONDS_EACH * 10
    goodput, summary = per_second(grid, seconds, "--rate", offered, "--no-retry",
                                  "--window", 100_000)
    outcome.must(summary["refused"] > offered * seconds / 2,
                 f"only {summary['refused']} of {offered * seconds:.0f} were refused")
    refused = {name: us / 1e6 for name, us in summary["refuse_us"].items()}
    outcome.timing("a refusal: p50", refused["p50"])
    outcome.timing("p99", refused["p99"])
    env.strict(outcome, refused["p50"] <= REFUSED_MAX, f"half took over {refused['p50']:.4f} s")
    env.strict(outcome, refused["p99"] <= 4 * REFUSED_MAX, f"p99 is {refused['p99']:.4f} s")
    return goodput / peak


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
