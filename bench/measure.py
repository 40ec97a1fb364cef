#!/usr/bin/env python3
"""Measures what a request costs waypost and its peers in CPU time. docs/performance.md says how, and how to read it."""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import plots
import process
import proxies
import report
from load import Refused, Silent, until_answered
from workloads import FEATURES, GROWTH, WORKLOADS, Idle, Latency, Start

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
# Fewer rounds are for trying things: they are printed, and do not replace what the page says.
ROUNDS_WORTH_KEEPING = 5
# Memory hardly differs from round to round, and takes long to measure.
ROUNDS_OF_IDLE = 5
OTHERS_WORTH_A_NOTE = 0.1
# One in a hundred is what a machine's moods decide: more of them are looked at.
LATENCY_LONGER = 4
PEERS = ("waypost", "haproxy", "nginx")


@dataclasses.dataclass(frozen=True)
class Part:
    """Workloads that are shown together."""

    mark: str
    workloads: dict
    write: object
    plot: object = None

    def of(self, names):
        return [workload for name, workload in self.workloads.items() if name in names]


PARTS = (
    Part("figures", WORKLOADS, report.beside_peers, plots.beside_peers),
    Part("features", FEATURES, report.beside_itself),
    Part("growth", GROWTH, report.beside_itself, plots.growth),
)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One proxy in one round."""

    figure: float
    """In the workload's unit."""
    note: str = ""
    """What else was seen, for the table."""
    others: float = 0.0
    """Part of the time that the proxy's core spent on anything else."""


@dataclasses.dataclass(frozen=True)
class Running:
    """A proxy, or the two of a pair, and the port that leads into them."""

    workload: object
    shape: object
    processes: list
    listen: int
    inner: object
    """The port between the two of a pair; None where there is no pair."""

    def name(self):
        return f"{self.workload.name} {self.shape.name}"

    def load(self):
        return self.shape.load or self.workload.load

    def require(self):
        """Raises when one of them has ended."""
        if not all(each.is_running() for each in self.processes):
            printed = "\n".join(each.printed() for each in self.processes)
            raise Refused(f"{self.name()} ended:\n{printed}")


class Origin:
    """The origin, and how many requests it has received."""

    def __init__(self, place, ports):
        self.ports = proxies.OriginPorts(*(ports.take() for _ in dataclasses.fields(proxies.OriginPorts)))
        self.process = proxies.origin(place, self.ports)
        self.process.wait_for(self.ports.status)

    def requests(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.status}/", timeout=5) as answer:
            # "server accepts handled requests", and below it the three numbers. The question itself counts too.
            return int(answer.read().split(b"requests")[1].split()[2])


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all measurements share."""

    place: object
    ports: object
    origin: object
    seconds: int

    def start(self, workload, shape, ending):
        """Starts what a workload's load goes through; `ending` ends it."""
        hops, started = workload.hops(self.origin.ports, self.ports, shape.differing), []
        for letter, hop in reversed(list(zip("ab", hops))):
            name = f"{workload.name}-{shape.name}-{letter}".replace(" ", "-").replace(",", "")
            each = shape.start()(self.place, name, hop)
            ending.callback(each.end)
            started.insert(0, each)
            if not isinstance(workload, Start):
                each.wait_for(hop.listen)
        silent = Silent(hops[0].listen, http2=False, tls=False)
        ending.callback(silent.close)
        silent.grow_to(shape.silent)
        return Running(workload, shape, started, hops[0].listen, hops[1].listen if workload.pair else None)


def cost(bench, running, seconds):
    """The CPU time that a load costs a proxy."""
    workload, load, (core,) = running.workload, running.load(), bench.place.cores
    requests_before, busy_before = bench.origin.requests(), process.core_busy(core)
    before, started = process.cpu_times(running.processes), time.monotonic()
    answered = load.run(running.listen, seconds, bench.place.load_cores, bench.place.directory)
    inner = process.connections_to(running.inner) if running.inner else 0
    time.sleep(0.05)  # what the last requests leave to do belongs to them
    cpu = process.cpu_between(before, process.cpu_times(running.processes)) / 1e9
    elapsed, busy_after = time.monotonic() - started, process.core_busy(core)
    reached = bench.origin.requests() - 1 - requests_before

    running.require()
    # What is under way when a load ends has reached the origin, or does so while the next one runs.
    if not answered.requests <= reached <= answered.requests + 2 * load.in_flight():
        raise Refused(f"{running.name()} answered {answered.requests} requests, {reached} reached the origin")
    between = f", {inner} inner connection{'s' if inner > 1 else ''}" if inner else ""
    size = process.resident_kib(running.processes) / 1024
    return Sample(
        figure=cpu * 1e6 / answered.requests / workload.per,
        note=f"{cpu / answered.seconds:.0%} busy, {size:.0f} MiB{between}",
        others=max(0.0, busy_after - busy_before - cpu) / elapsed,
    )


def latency(bench, running, seconds):
    """How much later answers come through the proxy than without it."""
    load, cores, directory = running.load(), bench.place.load_cores, bench.place.directory
    seconds *= LATENCY_LONGER
    direct = load.percentile(bench.origin.ports.http1, seconds, cores, directory)
    through = load.percentile(running.listen, seconds, cores, directory)
    running.require()
    return Sample(max(1.0, through - direct), note=f"{direct:.0f} without it")


def idle(bench, running, _seconds):
    """What a connection that has been used and is silent keeps, in KiB."""
    hop = running.workload.hop
    connections = Silent(running.listen, http2=hop.get("http2_in", False), tls=hop.get("tls_in", False))
    with contextlib.closing(connections):
        sizes = []
        for count in running.workload.counts():
            connections.grow_to(count)
            sizes.append((count, settled_kib(running.processes)))
    running.require()
    (few, small), (many, large) = sizes
    return Sample((large - small) / (many - few), note=f"{large / 1024:.0f} MiB with {many:,}")


def settled_kib(processes):
    """Resident memory in KiB, when it has stopped to fall."""
    last = process.resident_kib(processes)
    for _ in range(20):
        time.sleep(0.25)
        now = process.resident_kib(processes)
        if now >= last:
            return now
        last = now
    return last


def start(bench, running, _seconds):
    """How long a process that has just been started takes to its first answer, or the memory that it has then."""
    (only,) = running.processes
    until_answered(running.listen, deadline=10)
    if running.workload.unit == "ms":
        return Sample((time.monotonic() - only.began) * 1e3)
    return Sample(process.resident_kib(running.processes) / 1024)


def rounds_of(workload, bench, options):
    """All rounds of one workload: in each, everyone once, the first of them another one each time."""
    shapes = workload.participants(options.only)
    measure, afresh = cost, isinstance(workload, (Idle, Start))
    for kind, other in ((Latency, latency), (Idle, idle), (Start, start)):
        if isinstance(workload, kind):
            measure = other
    rounds = []
    with contextlib.ExitStack() as ending:
        ways = {}
        if not afresh:
            for shape in shapes:
                ways[shape.name] = bench.start(workload, shape, ending)
                pids = ", ".join(str(process.family(each.pid)[-1]) for each in ways[shape.name].processes)
                print(f"{workload.name}: {shape.name} serves as {pids}", file=sys.stderr)
            for shape in shapes:
                measure(bench, ways[shape.name], 1)  # fills pools and caches

        def once(shape):
            if not afresh:
                return measure(bench, ways[shape.name], options.seconds)
            with contextlib.ExitStack() as soon:
                return measure(bench, bench.start(workload, shape, soon), options.seconds)

        for index in range(min(options.rounds, ROUNDS_OF_IDLE) if isinstance(workload, Idle) else options.rounds):
            turn = index % len(shapes)
            samples = {shape.name: once(shape) for shape in shapes[turn:] + shapes[:turn]}
            rounds.append(samples)
            figures = ", ".join(f"{shape.name} {samples[shape.name].figure:.1f}" for shape in shapes)
            print(f"{workload.name}, round {index + 1}: {figures} {workload.unit}", file=sys.stderr)
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
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def is_program(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


def program(path):
    if not is_program(path):
        raise argparse.ArgumentTypeError(f"{path} is no program")
    return path


def arguments():
    everything = {**WORKLOADS, **FEATURES, **GROWTH}
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=15, help="of each workload (default %(default)s)")
    parser.add_argument("--seconds", type=at_least_one, default=1, help="of load for each (default %(default)s)")
    parser.add_argument("--workload", type=choices(everything), default=list(everything), metavar="W1,W2,...")
    parser.add_argument(
        "--only", type=choices(proxies.STARTERS), default=list(proxies.STARTERS), metavar="waypost,haproxy,nginx"
    )
    parser.add_argument("--waypost", type=program, metavar="PATH", help="the binary (default: `make release` builds it)")
    parser.add_argument("--no-write", action="store_true", help="leave docs/ as it is")
    return parser.parse_args()


def run(options):
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise RuntimeError("two cores are needed: one for the proxies, one for the load")
    proxy_core, load_cores = frozenset(available[-1:]), frozenset(available[:-1])
    # The largest loads are ten thousand connections, on both sides of a proxy.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    ports = process.Ports()
    with tempfile.TemporaryDirectory(prefix="waypost-bench-") as directory, contextlib.ExitStack() as ending:
        place = proxies.Place(pathlib.Path(directory), proxy_core, load_cores, options.waypost)
        proxies.mint(place)
        origin = Origin(dataclasses.replace(place, cores=load_cores), ports)
        ending.callback(origin.process.end)
        bench = Bench(place, ports, origin, options.seconds)
        for part in PARTS:
            results = [(each, rounds_of(each, bench, options)) for each in part.of(options.workload)]
            if results:
                show(options, available, part, results)


def show(options, available, part, results):
    """Prints what was measured and, where it is all that can be, writes it into the documentation."""
    conditions = (
        f"On {machine(available)}; {options.rounds} rounds of {options.seconds} s; "
        f"{proxies.versions(options.waypost)}.{note_on_others(results)}"
    )
    tables = part.write(results)
    print(f"{conditions}\n\n{tables}\n", flush=True)
    whole = len(results) == len(part.workloads) and set(options.only) >= set(PEERS)
    if whole and not options.no_write and options.rounds >= ROUNDS_WORTH_KEEPING:
        report.replace_part(PAGE, part.mark, f"{conditions}\n\n{tables}\n")
        if part.plot:
            PAGE.with_name(f"performance-{part.mark}.svg").write_text(part.plot(results))
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


def script(name):
    """Runs one of the checkout's scripts, and returns what it prints."""
    ended = subprocess.run([ROOT / "scripts" / name], stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise RuntimeError(f"scripts/{name} ended with {ended.returncode}")
    return ended.stdout.strip()


def main():
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, give_up)
    try:
        for variable in filter(os.environ.get, proxies.OPTIONAL.values()):
            if not is_program(os.environ[variable]):
                raise RuntimeError(f"{variable} names no program: {os.environ[variable]}")
        script("install-bench-deps.sh")
        options.waypost = options.waypost or script("release.sh")
        runs = len(options.workload) * (len(options.only) + 5)
        signal.alarm(60 + runs * (options.rounds * (options.seconds + 5) + 10))
        run(options)
    except (Refused, RuntimeError) as problem:
        print(f"bench: no result: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
