"""Rounds into pictures: SVG, to be seen beside the tables."""

import html
import math
import statistics

import report

INK, PALE, LINE = "#24292f", "#8c959f", "#d0d7de"
COLOURS = {"haproxy": "#0969da", "nginx": "#1a7f37", "envoy": "#bf3989", "pingora": "#9a6700"}
SERIES = ("#0969da", "#1a7f37", "#bf3989", "#9a6700")
MOST = 2.5  # ratios above it are drawn at the edge


def beside_peers(results):
    """A row for each workload: waypost's cost as a part of each peer's, with its range and its bound."""
    shown = [(workload, rounds) for workload, rounds in results if any(peer in rounds[0] for peer in COLOURS)]
    left, width, row = 130, 560, 34
    height = 60 + row * len(shown)

    def across(value):
        return left + width * min(value, MOST) / MOST

    drawn = []
    for tick in (0, 0.5, 1, 1.5, 2, 2.5):
        colour = INK if tick == 1 else LINE
        drawn.append(line(across(tick), 30, across(tick), height - 24, colour))
        drawn.append(text(across(tick), height - 8, f"{tick:g}", anchor="middle"))
    for index, (workload, rounds) in enumerate(shown):
        middle = 30 + row * (index + 0.5)
        drawn.append(text(left - 10, middle + 4, workload.name, anchor="end"))
        peers = [peer for peer in COLOURS if peer in rounds[0]]
        for place, peer in enumerate(peers):
            y = middle + 7 * (place - (len(peers) - 1) / 2)
            values = report.paired(rounds, peer)
            drawn.append(line(across(min(values)), y, across(max(values)), y, COLOURS[peer], 2))
            drawn.append(f'<circle cx="{across(statistics.median(values)):.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[peer]}"/>')
            for must in workload.must:
                if must.of == peer:
                    drawn.append(line(across(must.limit), y - 5, across(must.limit), y + 5, COLOURS[peer]))
    key = [(report.NAMES[peer], COLOURS[peer]) for peer in COLOURS if any(peer in rounds[0] for _, rounds in shown)]
    drawn.append(text(left, 18, "waypost's cost as a part of"))
    drawn += legend(left + 175, key)
    drawn.append(text(left + width, 18, "dot: median; line: range; stroke: bound", colour=PALE, anchor="end"))
    return svg(left + width + 30, height, drawn)


def growth(results):
    """A line for each thing that grows: cost against that of the smallest."""
    left, top, width, height = 60, 30, 560, 220
    sizes = [1, 10, 100, 1_000, 10_000]

    def place(size, value):
        return left + width * math.log10(size) / 4, top + height * (1 - min(value, 2) / 2)

    drawn = []
    for size in sizes:
        x, y = place(size, 0)
        drawn += [line(x, top, x, y, LINE), text(x, y + 18, f"{size:,}", anchor="middle")]
    for value in (0, 0.5, 1, 1.5, 2):
        x, y = place(1, value)
        drawn += [line(x, y, x + width, y, INK if value == 1 else LINE), text(x - 8, y + 4, f"{value:g}", anchor="end")]
    for colour, (_, rounds) in zip(SERIES, results):
        points = []
        for size, shape in zip(sizes, rounds[0]):
            values = report.paired(rounds, "waypost", of=shape)
            x, y = place(size, statistics.median(values))
            points.append(f"{x:.1f},{y:.1f}")
            drawn.append(line(x, place(size, min(values))[1], x, place(size, max(values))[1], colour, 2))
        drawn.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    drawn.append(text(left, 18, "CPU time per request, 1 is with one of"))
    drawn += legend(left + 245, [(workload.name, colour) for colour, (workload, _) in zip(SERIES, results)])
    return svg(left + width + 40, top + height + 30, drawn)


def legend(x, entries):
    drawn = []
    for name, colour in entries:
        drawn += [f'<circle cx="{x}" cy="14" r="4" fill="{colour}"/>', text(x + 8, 18, name)]
        x += 24 + 7 * len(name)
    return drawn


def line(x1, y1, x2, y2, colour, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def text(x, y, words, colour=INK, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{html.escape(words)}</text>'


def svg(width, height, drawn):
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
