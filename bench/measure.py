#!/usr/bin/env python3
"""Measures what a request costs waypost and its peers in CPU time. docs/performance.md says how, and how to read it."""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import platform
import signal
import sys
import tempfile
import time
import urllib.request

import process
import proxies
import report
from load import Refused
from workloads import WORKLOADS

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
# Fewer rounds are for trying things: they are printed, and do not replace what the page says.
ROUNDS_WORTH_KEEPING = 5
OTHERS_WORTH_A_NOTE = 0.1


@dataclasses.dataclass(frozen=True)
class Sample:
    """One proxy under one load, once."""

    microseconds: float
    """CPU time of all its processes per request."""
    busy: float
    """Part of the time that its core spent on it."""
    others: float
    """Part of the time that its core spent on anything else."""
    inner_connections: object
    """Connections between the halves of a pair; None where there is no pair."""


class Origin:
    """The origin, and how many requests it has received."""

    def __init__(self, place, ports):
        self.port, self._status_port = ports.take(), ports.take()
        self.process = proxies.origin(place, self.port, self._status_port)
        self.process.wait_for(self.port)

    def requests(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._status_port}/", timeout=5) as answer:
            # "server accepts handled requests", and below it the three numbers. The question itself counts too.
            return int(answer.read().split(b"requests")[1].split()[2])


def measure(workload, hops, running, origin, seconds, cores):
    """Puts the load on one proxy and says what that cost it."""
    proxy_core, load_cores = cores
    requests_before, busy_before = origin.requests(), process.core_busy(proxy_core)
    before, started = process.cpu_times(running), time.monotonic()
    answered = workload.load.run(hops[0].listen, seconds, load_cores)
    inner = process.connections_to(hops[1].listen) if workload.pair else None
    time.sleep(0.05)  # what the last requests leave to do belongs to them
    cpu = process.cpu_between(before, process.cpu_times(running)) / 1e9
    elapsed, busy_after = time.monotonic() - started, process.core_busy(proxy_core)
    reached = origin.requests() - 1 - requests_before

    name = "+".join(each.name for each in running)
    if not all(each.is_running() for each in running):
        raise Refused(f"{name} ended:\n" + "\n".join(each.printed() for each in running))
    # What is under way when a load ends has reached the origin, or does so while the next one runs.
    if not answered.requests <= reached <= answered.requests + 2 * workload.load.in_flight():
        raise Refused(f"{name} answered {answered.requests} requests, {reached} reached the origin")
    return Sample(
        microseconds=cpu * 1e6 / answered.requests,
        busy=cpu / answered.seconds,
        others=max(0.0, busy_after - busy_before - cpu) / elapsed,
        inner_connections=inner,
    )


def rounds_of(workload, origin, place, ports, options, cores):
    """All rounds of one workload: in each, every proxy once, the first of them another one each time."""
    with contextlib.ExitStack() as running:
        ways = {}
        for proxy in options.only:
            hops = workload.hops(origin.port, ports)
            ways[proxy] = hops, []
            for letter, hop in reversed(list(zip("ab", hops))):
                name = f"{workload.name}-{proxy}-{letter}"
                started = proxies.STARTERS[proxy](place, name, hop)
                running.callback(started.end)
                ways[proxy][1].insert(0, started)
                started.wait_for(hop.listen)
            pids = [process.family(each.pid)[-1] for each in ways[proxy][1]]
            print(f"{workload.name}: {proxy} serves as {', '.join(map(str, pids))}", file=sys.stderr)

        def once(proxy, seconds):
            return measure(workload, *ways[proxy], origin, seconds, cores)

        for proxy in options.only:
            once(proxy, 1)  # fills pools and caches
        rounds = []
        for index in range(options.rounds):
            turn = index % len(options.only)
            order = options.only[turn:] + options.only[:turn]
            samples = {proxy: once(proxy, options.seconds) for proxy in order}
            rounds.append(samples)
            costs = ", ".join(f"{proxy} {samples[proxy].microseconds:.1f}" for proxy in options.only)
            print(f"{workload.name}, round {index + 1}: {costs} us/request", file=sys.stderr)
    return rounds


def machine(cores):
    """The kind of machine, in words that name none."""
    virtual = "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()
    kind = "virtual" if virtual else "physical"
    release = ".".join(platform.release().split(".")[:2])
    return f"a {kind} {platform.machine()} machine, {len(cores)} cores, Linux {release}"


def choices(known):
    """A comma-separated list of known words."""

    def parse(text):
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(known)}")
        return words

    return parse


def at_least_one(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=7, help="of each workload (default %(default)s)")
    parser.add_argument("--seconds", type=at_least_one, default=2, help="of load for each (default %(default)s)")
    parser.add_argument("--workload", type=choices(WORKLOADS), default=list(WORKLOADS), metavar="W1,W2,...")
    parser.add_argument(
        "--only", type=choices(proxies.STARTERS), default=list(proxies.STARTERS), metavar="waypost,haproxy,nginx"
    )
    parser.add_argument("--waypost", default=str(ROOT / "target/release/waypost"), help="the binary to measure")
    parser.add_argument("--no-write", action="store_true", help="leave docs/performance.md as it is")
    return parser.parse_args()


def run(options):
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise RuntimeError("two cores are needed: one for the proxies, one for the load")
    proxy_core, load_cores = available[-1], frozenset(available[:-1])
    ports, results = process.Ports(), []
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as directory, contextlib.ExitStack() as ending:
        place = proxies.Place(pathlib.Path(directory), frozenset([proxy_core]), options.waypost)
        proxies.mint(place)
        origin = Origin(dataclasses.replace(place, cores=load_cores), ports)
        ending.callback(origin.process.end)
        for name in options.workload:
            workload = WORKLOADS[name]
            cores = proxy_core, load_cores
            results.append((workload, rounds_of(workload, origin, place, ports, options, cores)))

    tables = [report.costs(results)]
    if "waypost" in options.only and len(options.only) > 1:
        tables.append(report.ratios(results))
    figures = "\n\n".join(
        [
            f"On {machine(available)}; {options.rounds} rounds of {options.seconds} s; "
            f"{proxies.versions(options.waypost)}.{note_on_others(results)}",
            *tables,
        ]
    )
    print(figures)
    whole = options.workload == list(WORKLOADS) and options.only == list(proxies.STARTERS)
    if options.no_write or not whole or options.rounds < ROUNDS_WORTH_KEEPING:
        return
    report.replace_figures(PAGE, figures + "\n")
    print(f"written to {PAGE.relative_to(ROOT)}", file=sys.stderr)


def note_on_others(results):
    """Ratios survive a shared core, absolute figures do not: say so where it was shared."""
    samples = [sample for _, rounds in results for each in rounds for sample in each.values()]
    worst = max(sample.others for sample in samples)
    if worst <= OTHERS_WORTH_A_NOTE:
        return ""
    return f" **Others took up to {worst:.0%} of the proxies' core: to be measured again on a quiet machine.**"


def give_up(number, _frame):
    raise RuntimeError(f"ended by {signal.Signals(number).name}")


def main():
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, give_up)
    runs = len(options.workload) * len(options.only)
    signal.alarm(60 + runs * (options.rounds * (options.seconds + 2) + 10))
    try:
        run(options)
    except (Refused, RuntimeError) as problem:
        print(f"bench: no result: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
