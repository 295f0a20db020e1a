# SPDX-License-Identifier: Apache-2.0
"""Draws the series that benchmarks have written (scripts/bench plot) as SVG: throughput over time with its rekeys, and how latencies are
distributed."""

import argparse
import html
import json
import math
import pathlib
import sys

WIDTH, HEIGHT = 900, 520
LEFT, RIGHT, TOP, BOTTOM = 80, 30, 56, 64
# Okabe and Ito: told apart by colour-blind people too. The dashes tell them apart without colours.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9")
DASHES = ("none", "9 4", "3 3", "12 3 3 3", "6 2 2 2 2 2", "15 5", "1 3")
LATENCIES = {"latency_idle": "Round trips while idle", "latency_load": "Round trips under TCP load"}


class Failure(Exception):
    """What cannot be drawn, and why."""


class Linear:
    """An axis from zero."""

    def __init__(self, highest):
        step = 10 ** math.floor(math.log10(highest / 4)) if highest > 0 else 0.25
        self.step = next(step * times for times in (1, 2, 5, 10) if step * times * 6 >= highest)
        self.end = self.step * max(1, math.ceil(highest / self.step - 1e-9))

    def share(self, value):
        return value / self.end

    def ticks(self):
        return [(number * self.step, True) for number in range(round(self.end / self.step) + 1)]


class Logarithmic:
    """An axis of whole decades; labels at 1, 2 and 5."""

    def __init__(self, lowest, highest):
        self.first = math.floor(math.log10(lowest))
        self.last = max(self.first + 1, math.ceil(math.log10(highest)))

    def share(self, value):
        return (math.log10(value) - self.first) / (self.last - self.first)

    def ticks(self):
        inside = [(times * 10**decade, times in (1, 2, 5)) for decade in range(self.first, self.last) for times in range(1, 10)]
        return [*inside, (10**self.last, True)]


class Chart:
    def __init__(self, title, x, x_label, y, y_label):
        self.x, self.y, self.marks = x, y, []
        self.text(LEFT, 30, title, "start", 'font-size="18" font-weight="bold"')
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_label)
        self.text(22, (TOP + HEIGHT - BOTTOM) / 2, y_label, more=f'transform="rotate(-90 22 {(TOP + HEIGHT - BOTTOM) / 2})"')
        for value, labelled in x.ticks():
            self.line(self.at_x(value), TOP, self.at_x(value), HEIGHT - BOTTOM, "#cccccc" if labelled else "#eeeeee")
            if labelled:
                self.text(self.at_x(value), HEIGHT - BOTTOM + 20, f"{value:g}")
        for value, _ in y.ticks():
            self.line(LEFT, self.at_y(value), WIDTH - RIGHT, self.at_y(value), "#cccccc")
            self.text(LEFT - 8, self.at_y(value) + 5, f"{value:g}", "end")

    def at_x(self, value):
        return LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)

    def at_y(self, value):
        return HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM)

    def text(self, x, y, words, anchor="middle", more=""):
        self.marks.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{html.escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1, dash="none"):
        self.marks.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}" '
                          f'stroke-dasharray="{dash}"/>')

    def curve(self, points, number):
        places = " ".join(f"{self.at_x(x):.1f},{self.at_y(y):.1f}" for x, y in points)
        self.marks.append(f'<polyline points="{places}" fill="none" stroke="{COLOURS[number]}" stroke-width="2.5" '
                          f'stroke-dasharray="{DASHES[number]}"/>')

    def rekey(self, x):
        self.line(self.at_x(x), TOP, self.at_x(x), HEIGHT - BOTTOM, COLOURS[1], 1.5, DASHES[1])

    def legend(self, names):
        """At the right below, where cumulative curves have long risen and throughput rarely falls to."""
        left, top = WIDTH - RIGHT - 190, HEIGHT - BOTTOM - 14 - 22 * len(names)
        self.marks.append(f'<rect x="{left - 12}" y="{top - 4}" width="192" height="{22 * len(names) + 8}" fill="white" stroke="#999999"/>')
        for number, name in enumerate(names):
            y = top + 22 * number + 11
            self.line(left, y, left + 40, y, COLOURS[number], 2.5, DASHES[number])
            self.text(left + 48, y + 5, name, "start")

    def svg(self):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
                'font-family="sans-serif" font-size="14">')
        return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *self.marks, "</svg>"]) + "\n"


def draw_throughput(series):
    times, rates = series["throughput_s"], series["throughput_gbit_s"]
    chart = Chart("Throughput of one TCP connection, and rekeys", Linear(max(times)), "time (s)", Linear(max(rates)), "throughput (Gbit/s)")
    for time_s in series["rekeys_s"]:
        chart.rekey(time_s)
    chart.curve(zip(times, rates), 0)
    chart.legend(["throughput", "rekey"])
    return chart.svg()


def draw_latency(title, curves):
    every = [time_ms for times in curves.values() for time_ms in times]
    chart = Chart(title, Logarithmic(min(every), max(every)), "round trip (ms)", Linear(100), "share that took no longer (%)")
    for number, times in enumerate(curves.values()):
        chart.curve([(time_ms, 100 * (rank + 1) / len(times)) for rank, time_ms in enumerate(sorted(times))], number)
    chart.legend(list(curves))
    return chart.svg()


def pictures(series):
    """Each as (name, SVG)."""
    if "throughput_s" in series:
        yield "throughput", draw_throughput(series)
    for case, title in LATENCIES.items():
        curves = {name.partition("/")[2]: values for name, values in series.items() if name.startswith(f"{case}/")}
        if curves:
            yield case, draw_latency(title, curves)


def series_of(path):
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    except ValueError:
        raise Failure(f"{path} is no JSON: give a file that scripts/bench wrote by --json") from None
    if not isinstance(document, dict) or not document.get("series"):
        raise Failure(f"{path} has no series: only 'scripts/bench latency' and 'scripts/bench rekey' write them")
    return document["series"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench plot")
    parser.add_argument("files", metavar="FILE", nargs="+", type=pathlib.Path)
    parser.add_argument("--out", metavar="FOLDER", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        for path in arguments.files:
            for name, svg in pictures(series_of(path)):
                picture = arguments.out / f"{path.stem}-{name}.svg"
                picture.write_text(svg)
                print(picture)
    except Failure as failure:
        sys.exit(f"bench plot: {failure}")
    except OSError as error:
        sys.exit(f"bench plot: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
