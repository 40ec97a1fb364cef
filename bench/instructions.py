#!/usr/bin/env python3
"""Counts instructions, which nothing else on the machine can disturb: of our steps, and of whole requests.

Callgrind counts them. A toolchain of another version gives other counts; the baseline says of which it is.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import process
import proxies
from load import h2load

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "bench" / "instructions.json"
TOLERANCE = 0.03
TIMES = 1_000
REQUESTS = 4_000


def callgrind(directory, *options):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/callgrind", *options]


def collected(printed):
    found = re.search(r"Collected : (\d+)", printed)
    if not found:
        raise RuntimeError(f"callgrind counted nothing:\n{printed}")
    return int(found[1])


def of_step(binary, step, directory):
    """Instructions of one step, on average."""
    command = callgrind(directory, "--toggle-collect=*counted*")
    ended = subprocess.run([*command, binary, "count", step, str(TIMES)], capture_output=True, text=True, timeout=300)
    if ended.returncode != 0:
        raise RuntimeError(f"{step}:\n{ended.stderr}")
    return collected(ended.stderr) / TIMES


def of_request(place, ports, origin, load):
    """Instructions of one request, with all that hyper, h2 and tokio do for it."""
    totals = []
    for count in (REQUESTS, 2 * REQUESTS):
        hop = proxies.Hop(listen=ports.take(), forward=origin, http2_in="--h1" not in load)
        command = callgrind(place.directory)
        running = proxies.waypost(place, f"counted-{hop.listen}", hop, under=command)
        try:
            running.wait_for(hop.listen, within=60)
            h2load([*load, "-n", str(count), f"http://127.0.0.1:{hop.listen}/"], 120, place.load_cores)
        finally:
            running.end(within=60)
        totals.append(collected(running.printed()))
    return (totals[1] - totals[0]) / REQUESTS


def micro_binary(cargo):
    """Builds the benches of our steps, and says where they are."""
    command = [cargo, "bench", "-p", "waypost", "--bench", "micro", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = (json.loads(line) for line in built.stdout.splitlines())
    return [each["executable"] for each in messages if each.get("target", {}).get("name") == "micro"][-1]


def count_all(options):
    counts = {}
    binary = micro_binary(options.cargo)
    steps = subprocess.run([binary, "steps"], capture_output=True, text=True, check=True).stdout.split()
    cores = frozenset(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="waypost-count-") as directory:
        place = proxies.Place(pathlib.Path(directory), cores, cores, options.waypost)
        for step in steps:
            counts[step] = of_step(binary, step, directory)
        proxies.mint(place)
        ports = process.Ports()
        origin_ports = proxies.OriginPorts(*(ports.take() for _ in range(5)))
        origin = proxies.origin(place, origin_ports)
        try:
            origin.wait_for(origin_ports.status)
            counts["request_http1"] = of_request(place, ports, origin_ports.http1, ["--h1", "-c", "16"])
            counts["request_http2"] = of_request(place, ports, origin_ports.http1, ["-c", "4", "-m", "16"])
        finally:
            origin.end()
    return {name: round(count) for name, count in counts.items()}


def compare(before, now):
    """Prints both, and says which have grown too much."""
    grown = []
    for name, count in now.items():
        known = before.get(name)
        change = f"{count / known - 1:+7.1%}" if known else "    new"
        print(f"{name:20} {count:8,} {change}")
        if known and count > known * (1 + TOLERANCE):
            grown.append(name)
    return grown


def main():
    parser = argparse.ArgumentParser(prog="make bench-check", description=__doc__)
    parser.add_argument("--waypost", default=str(ROOT / "target/release/waypost"), help="a release build")
    parser.add_argument("--cargo", default="cargo")
    parser.add_argument("--write", action="store_true", help="make what is counted now the baseline")
    options = parser.parse_args()
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    before = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"compiler": compiler, "counts": {}}
    now = count_all(options)
    grown = compare(before["counts"], now)
    if options.write:
        BASELINE.write_text(json.dumps({"compiler": compiler, "counts": now}, indent=2) + "\n")
        return 0
    if before["compiler"] != compiler:
        print(f"the baseline is of {before['compiler']}, this is {compiler}", file=sys.stderr)
    if grown:
        print(f"more than {TOLERANCE:.0%} above the baseline: {', '.join(grown)}", file=sys.stderr)
        print("if it is worth it: make bench-baseline, and say why in the commit", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
