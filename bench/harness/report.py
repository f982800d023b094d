"""What was measured, as rows with bars and goals: a table, JSON and a plot."""
import json
import os
import shutil
import statistics
import subprocess

BARS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bars.json")


def load_bars():
    with open(BARS, encoding="utf-8") as file:
        return {bar["row"]: bar for bar in json.load(file)}


def holds(bar, value, level):
    return value >= bar[level] if bar["better"] == "more" else value <= bar[level]


def verdict(bar, value):
    if not holds(bar, value, "bar"):
        return "MISSED"
    return "goal" if holds(bar, value, "goal") else "bar"


class Row:
    """One figure: the values of all rounds, and its bar if it has one."""

    def __init__(self, name, values, bar=None):
        self.name, self.values, self.bar = name, list(values), bar

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def verdict(self):
        return verdict(self.bar, self.median) if self.bar else ""

    def as_json(self):
        row = {"row": self.name, "median": self.median, "min": min(self.values),
               "max": max(self.values), "values": self.values}
        if self.bar:
            row.update({key: self.bar[key] for key in ("text", "against", "better", "bar", "goal")})
            row.update(unit=self.bar.get("unit", ""), verdict=self.verdict)
        return row


def figure(value):
    """Three digits that count."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def spread(values):
    return f"{figure(min(values))}–{figure(max(values))}"


def print_group(title, unit, sides, rows):
    """`sides`: the values of each; `rows`: what was made of them."""
    print(f"\n{title} ({unit}, median of {len(next(iter(sides.values())))})")
    for name, values in sides.items():
        print(f"  {name.strip():32}{figure(statistics.median(values)):>12}   {spread(values)}")
    for row in rows:
        print_row(row)


def print_row(row):
    text = f"{row.bar['text']} ÷ {row.bar['against']}".removesuffix(" ÷ ") if row.bar else row.name
    line = f"  = {text:70}{figure(row.median):>8}   {spread(row.values)}"
    if row.bar:
        sign = "≥" if row.bar["better"] == "more" else "≤"
        line += f"   bar {sign} {row.bar['bar']}, goal {sign} {row.bar['goal']}: {row.verdict}"
    print(line, flush=True)


def markdown(rows):
    lines = ["| | ÷ | measured | min–max | bar | goal | |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        if row.bar:
            sign = "≥" if row.bar["better"] == "more" else "≤"
            unit = " " + row.bar["unit"] if row.bar.get("unit") else ""
            lines.append(f"| {row.bar['text']} | {row.bar['against']} | {figure(row.median)}{unit} "
                         f"| {spread(row.values)} | {sign} {row.bar['bar']}{unit} "
                         f"| {sign} {row.bar['goal']}{unit} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def write_json(path, about, groups, rows):
    document = {"schema": "zgrid-bench/1", **about, "rows": [row.as_json() for row in rows],
                "sides": groups}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1, ensure_ascii=False)
        file.write("\n")


PLOT = """set terminal {terminal}
set termoption noenhanced
set output "{output}"
set title "{title}"
set logscale x
set xrange [0.2:20]
set yrange [-0.8:{top}]
set xtics ("½" 0.5, "bar" 1, "2 ×" 2, "5 ×" 5, "10 ×" 10)
set xlabel "as a part of the bar; longer is better"
set lmargin at screen 0.46
set rmargin at screen 0.97
set ytics out nomirror
set grid xtics
set key at screen 0.97, screen 0.03 right bottom horizontal maxrows 1
set bmargin at screen {bottom}
set style fill solid 0.7 noborder
set arrow from 1,-0.8 to 1,{top} nohead lw 2 lc rgb "#c03030" front
plot "{data}" using (0.2):1:(0.2):2:($1-0.32):($1+0.32):3:ytic(7) with boxxyerror lc rgb variable \\
       title "measured", \\
     "{data}" using 2:1:4:5 with xerrorbars lc rgb "#303030" pt 0 title "smallest and largest", \\
     "{data}" using 6:1 with points pt 9 ps 1.6 lc rgb "#2060c0" title "goal", \\
     NaN with lines lw 2 lc rgb "#c03030" title "bar"
"""
COLOURS = {"MISSED": 0xE08080, "bar": 0xE0C060, "goal": 0x80C080}


def plot(stem, title, rows):
    """STEM.png and STEM.svg by gnuplot, with bars and goals drawn in. False without gnuplot."""
    gnuplot = shutil.which("gnuplot")
    judged = [row for row in rows if row.bar]
    if gnuplot is None or not judged:
        return False
    data = stem + ".dat"
    with open(data, "w", encoding="utf-8") as file:
        for at, row in enumerate(reversed(judged)):
            part = relative(row.bar)
            low, high = sorted((part(min(row.values)), part(max(row.values))))
            label = f"{row.bar['text']} ÷ {row.bar['against']}".removesuffix(" ÷ ")
            file.write(f"{at} {clip(part(row.median))} {COLOURS[row.verdict]} {clip(low)} "
                       f"{clip(high)} {clip(part(row.bar['goal']))} \"{label}\"\n")
    height = 190 + 32 * len(judged)
    for terminal, suffix in ((f"pngcairo size 1200,{height} font 'Sans,11'", "png"),
                             (f"svg size 1200,{height} dynamic font 'Sans,12'", "svg")):
        script = PLOT.format(terminal=terminal, output=f"{stem}.{suffix}", title=title, data=data,
                             top=len(judged) - 0.2, bottom=130 / height)
        subprocess.run([gnuplot], input=script, text=True, check=True)
    return True


def relative(bar):
    """A value as a part of its bar; above 1 is better than the bar."""
    if bar["better"] == "more":
        return lambda value: value / bar["bar"]
    return lambda value: bar["bar"] / max(value, bar["bar"] / 100)


def clip(value):
    return min(max(value, 0.2), 20)
