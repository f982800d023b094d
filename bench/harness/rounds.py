"""Running a group: its sides in turn, round by round."""
from harness import report


def run_group(opened, pairs, bars):
    """The values of each side, and the rows made of them."""
    with opened() as group:
        sides = {name: [] for name in group.sides}
        for _ in range(pairs):
            for name, measure in group.sides.items():
                sides[name].append(measure())
        rounds = [dict(zip(sides, values)) for values in zip(*sides.values())]
        rows = [report.Row(name, map(ratio, rounds), bars.get(name))
                for name, ratio in group.ratios.items()]
        return group, sides, rows
