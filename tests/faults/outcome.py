"""What a fault did, and the table of all."""

import sys

COUNTS = ("lost", "twice", "stale", "illegal", "wrong")
SHOWN = 30  # problems of one fault that are printed


class Skip(Exception):
    """The fault cannot be injected here; the text says why."""


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def seconds_text(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


class Outcome:
    def __init__(self, injected, times):
        self.name = ""
        self.injected = injected
        self.times = times
        self.acked = 0
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = []
        self.skipped = None
        self.seconds = 0.0
        self._timings = []
        self._facts = []

    def add(self, verdict):
        """Counts what a history showed; every violation is a problem."""
        self.acked += verdict.acked
        for name in COUNTS:
            self.counts[name] += len(getattr(verdict, name))
        self.problems += verdict.violations
        return verdict

    def must(self, condition, text):
        if not condition:
            self.problems.append(text)
        return bool(condition)

    def timing(self, what, seconds):
        """One duration or a list of them."""
        values = list(seconds) if hasattr(seconds, "__iter__") else [seconds]
        if values:
            self._timings.append((what, values))

    def fact(self, text):
        """A remark for the table's last column."""
        self._facts.append(text)

    @property
    def remarks(self):
        if self.skipped:
            return f"skipped: {self.skipped}"
        texts = []
        for what, values in self._timings:
            if len(values) == 1:
                texts.append(f"{what} {seconds_text(values[0])}")
            else:
                p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
                texts.append(f"{what} p50 {seconds_text(p50)}, p99 {seconds_text(p99)}, "
                             f"max {seconds_text(max(values))}")
        return "; ".join(texts + self._facts)

    def print_end(self):
        if self.skipped:
            verdict = f"skipped: {self.skipped}"
        elif self.problems:
            verdict = f"{len(self.problems)} violations"
        else:
            verdict = "held"
        print(f"{self.name}: {verdict} ({self.seconds:.1f} s)", file=sys.stderr)
        for problem in self.problems[:SHOWN]:
            print(f"    {problem}", file=sys.stderr)
        if len(self.problems) > SHOWN:
            print(f"    … and {len(self.problems) - SHOWN} more", file=sys.stderr)
        sys.stderr.flush()


def table(outcomes):
    """Markdown, so that it can go into a document as it is."""
    head = ["fault", "injected", "times", "acknowledged", *COUNTS, "held", "took", "remarks"]
    rows = [head, ["---"] * len(head)]
    for outcome in outcomes:
        held = "skipped" if outcome.skipped else "no" if outcome.problems else "yes"
        rows.append([outcome.name, outcome.injected, outcome.times, outcome.acked,
                     *outcome.counts.values(), held, seconds_text(outcome.seconds),
                     outcome.remarks])
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)
