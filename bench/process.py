"""A process on the cores it was given, and the CPU time it took."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

PROC = pathlib.Path("/proc")


class Process:
    """Runs from its construction to `end`; what it prints goes to a file."""

    def __init__(self, name, command, cores, log):
        self.name = name
        self.log = pathlib.Path(log)
        with self.log.open("wb") as out:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        self.pid = self._popen.pid
        self.began = time.monotonic()

    def wait_for(self, port, within=10):
        """Returns when something listens on the port; raises when the process ended instead, or did not in time."""
        deadline = time.monotonic() + within
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not listen on {port}:\n{self.printed()}")
            time.sleep(0.02)

    def printed(self):
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-4000:]

    def is_running(self):
        return self._popen.poll() is None

    def end(self, within=5):
        """Asks it to end, and its children with it; those that do not end in time are killed."""
        pids = family(self.pid)
        self._popen.terminate()
        try:
            self._popen.wait(timeout=within)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self._popen.wait()


def family(pid):
    """The process and all that descend from it."""
    children = {}
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold spaces: what counts comes behind it.
            parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def cpu_times(processes):
    """Nanoseconds on a CPU by thread, of all processes and their children, as the scheduler counts them."""
    times = {}
    for process in processes:
        for pid in family(process.pid):
            for task in PROC.joinpath(str(pid), "task").glob("*"):
                with contextlib.suppress(OSError):
                    times[task.name] = int(task.joinpath("schedstat").read_text().split()[0])
    return times


def cpu_between(before, after):
    """Nanoseconds taken between two `cpu_times`; a thread that came in between counts whole."""
    return sum(time_after - before.get(thread, 0) for thread, time_after in after.items())


def resident_kib(processes):
    """Resident memory of all processes and their children, in KiB; pages that they share count for each."""
    pids = [pid for process in processes for pid in family(process.pid)]
    pages = [int(PROC.joinpath(str(pid), "statm").read_text().split()[1]) for pid in pids]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") // 1024


def core_busy(core):
    """Seconds that the core was not idle since the start, whoever took it."""
    for line in PROC.joinpath("stat").read_text().splitlines():
        label, *ticks = line.split()
        if label == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(tick) for tick in ticks[:8])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    raise RuntimeError(f"/proc/stat has no core {core}")


def connections_to(port):
    """Established TCP connections to a port of 127.0.0.1, counted at the side that opened them."""
    count = 0
    for line in PROC.joinpath("net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *_ = line.split()
        count += state == "01" and int(remote.partition(":")[2], 16) == port
    return count


class Ports:
    """Free ports below those that the kernel gives to outgoing connections, so that the load tools can't take them."""

    def __init__(self, first=21800):
        self._next = first

    def take(self):
        while True:
            port = self._next
            self._next += 1
            with socket.socket() as probe:
                # Connections of an earlier run may linger; that does not stop a listener.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port
