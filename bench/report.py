"""Rounds into figures: medians, ranges, and ratios of the same round."""

import statistics

NAMES = {"waypost": "waypost", "haproxy": "HAProxy", "nginx": "nginx", "envoy": "Envoy", "pingora": "pingora"}


def beside_peers(results):
    """What waypost and its peers took, the ratios, and the bounds that are set for them."""
    peers = [name for name in NAMES if any(name in rounds[0] for _, rounds in results)]
    figures = [["what", "unit", *(NAMES[peer] for peer in peers)]]
    ratios = [["waypost against", *(NAMES[peer] for peer in peers[1:]), "bound", "reached"]]
    for workload, rounds in results:
        figures.append([f"{workload.name}: {workload.text}", workload.unit, *(figure(rounds, peer) for peer in peers)])
        if "waypost" in rounds[0]:
            against = (ratio(rounds, peer) for peer in peers[1:])
            ratios.append([workload.name, *against, *bounds(workload, rounds)])
    return "\n\n".join(table(rows) for rows in (figures, ratios) if len(rows) > 1)


def beside_itself(results):
    """waypost in other shapes, against the ordinary one in the same round; and so another, against its first."""
    tables = []
    for workload, rounds in results:
        rows, firsts = [["shape", workload.unit, "to the first"]], {"waypost": "waypost"}
        kinds = {shape.name: shape.of for shape in workload.own}
        for shape in rounds[0]:
            first = firsts.setdefault(kinds.get(shape, "waypost"), shape)
            rows.append([shape, figure(rounds, shape), ratio(rounds, first, of=shape)])
        tables.append(table(rows, title=f"{workload.name}: {workload.text}"))
    return "\n\n".join(tables)


def figure(rounds, name):
    """The median, and what was noted in the round that had it."""
    if name not in rounds[0]:
        return "-"
    samples = sorted((each[name] for each in rounds), key=lambda sample: sample.figure)
    middle = samples[len(samples) // 2]
    note = f" ({middle.note})" if middle.note else ""
    return f"{statistics.median(sample.figure for sample in samples):.1f}{note}"


def paired(rounds, name, of="waypost"):
    """The ratio within each round."""
    return [each[of].figure / each[name].figure for each in rounds]


def ratio(rounds, name, of="waypost"):
    if name not in rounds[0] or of not in rounds[0]:
        return "-"
    return spread(paired(rounds, name, of))


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def bounds(workload, rounds):
    """The bounds of a workload in words, and whether each is reached: by the median, by some rounds, or by none."""
    words, reached = [], []
    for must in workload.must:
        if must.of and must.of not in rounds[0]:
            continue
        values = paired(rounds, must.of) if must.of else [each["waypost"].figure for each in rounds]
        of = f" of {NAMES.get(must.of, must.of)}" if must.of else f" {workload.unit}"
        own = f": {spread(values)}" if must.of and must.of not in NAMES else ""
        words.append(f"{must.limit:g}{of}{own}")
        by_range = "in some rounds" if min(values) <= must.limit else "**no**"
        reached.append("yes" if statistics.median(values) <= must.limit else by_range)
    return ", ".join(words), ", ".join(reached)


def table(rows, title=""):
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join([*([f"**{title}**", ""] if title else []), *lines])


def replace_part(page, mark, text):
    """Puts the text between the marks of that name in a page."""
    begin, end = f"<!-- {mark}: begin, written by bench/run.sh -->", f"<!-- {mark}: end -->"
    before, found, rest = page.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise RuntimeError(f"{page} lacks the marks `{begin}` and `{end}`")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
