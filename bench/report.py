"""Rounds into figures: medians, ranges, and ratios of the same round."""

import statistics

NAMES = {"waypost": "waypost", "haproxy": "HAProxy", "nginx": "nginx"}
BEGIN = "<!-- figures: begin, written by bench/run.sh -->"
END = "<!-- figures: end -->"


def costs(results):
    """CPU time per request, as a Markdown table: one row per workload, one column per proxy."""
    proxies = shown(results)
    rows = [["CPU us per request (busy share of its core)", *(NAMES[proxy] for proxy in proxies)]]
    for workload, rounds in results:
        cells = []
        for proxy in proxies:
            cost = statistics.median(each[proxy].microseconds for each in rounds)
            busy = statistics.median(each[proxy].busy for each in rounds)
            cells.append(f"{cost:.1f} ({busy:.0%}){inner(rounds, proxy)}")
        rows.append([f"{workload.name}: {workload.text}", *cells])
    return table(rows)


def inner(rounds, proxy):
    """How many connections a pair kept between its halves, where there is one."""
    counts = [each[proxy].inner_connections for each in rounds if each[proxy].inner_connections is not None]
    if not counts:
        return ""
    return f", {max(counts)} inner connection{'s' if max(counts) > 1 else ''}"


def ratios(results):
    """waypost against each peer: the median over rounds of the ratio within a round, and its range."""
    peers = [proxy for proxy in shown(results) if proxy != "waypost"]
    rows = [["Ratio, median (range)", *(f"waypost / {NAMES[peer]}" for peer in peers)]]
    for workload, rounds in results:
        cells = []
        for peer in peers:
            paired = [each["waypost"].microseconds / each[peer].microseconds for each in rounds]
            cells.append(f"{statistics.median(paired):.2f} ({min(paired):.2f}-{max(paired):.2f})")
        rows.append([workload.name, *cells])
    return table(rows)


def shown(results):
    _, rounds = results[0]
    return [proxy for proxy in NAMES if proxy in rounds[0]]


def table(rows):
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def replace_figures(page, figures):
    """Puts the figures between the marks of a page."""
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise RuntimeError(f"{page} lacks the marks `{BEGIN}` and `{END}`")
    page.write_text(f"{before}{begin}\n{figures}\n{end}{after}")
