"""The load tools: what they send, and what they say came back."""

import dataclasses
import os
import re
import subprocess

HOST = "web.example.com"
# Seven header fields with the host; about 350 bytes with the request line.
HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "application/json, text/plain;q=0.9, */*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br",
    "X-Request-Id": "5c1f0e8a-93b7-4f6e-8a51-2d7c4be09f13",
    "Cookie": "session=Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OQ",
}


class Refused(Exception):
    """A result that must not be read: requests failed, or were not what they should be."""


@dataclasses.dataclass(frozen=True)
class Answered:
    """What a load tool counted."""

    requests: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Wrk:
    """HTTP/1.1 by wrk."""

    connections: int
    tls: bool = False
    close: bool = False
    """Each request on a connection of its own: wrk resumes no sessions, so with TLS each is a full handshake."""

    def in_flight(self):
        return self.connections

    def run(self, port, seconds, cores):
        lines = [f"Host: {HOST}", *(f"{name}: {value}" for name, value in HEADERS.items())]
        if self.close:
            lines.append("Connection: close")
        url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}/"
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", *flags(lines), url]
        printed = run(command, seconds, cores)
        for trouble in ("Non-2xx or 3xx responses:", "Socket errors:"):
            if trouble in printed:
                raise Refused(f"wrk saw requests fail:\n{printed}")
        requests, unit_seconds, unit = match(r"(\d+) requests in ([\d.]+)(ms|s|m),", printed)
        return Answered(int(requests), float(unit_seconds) * {"ms": 0.001, "s": 1, "m": 60}[unit])


@dataclasses.dataclass(frozen=True)
class H2load:
    """HTTP/2 with prior knowledge by h2load."""

    connections: int
    streams: int

    def in_flight(self):
        return self.connections * self.streams

    def run(self, port, seconds, cores):
        lines = [f":authority: {HOST}", *(f"{name.lower()}: {value}" for name, value in HEADERS.items())]
        shape = ["-t", "1", "-c", str(self.connections), "-m", str(self.streams), "-D", str(seconds)]
        printed = run(["h2load", *shape, *flags(lines), f"http://127.0.0.1:{port}/"], seconds, cores)
        done, succeeded, failed, errored, timed_out = (
            int(number)
            for number in match(
                r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", printed
            )
        )
        # A status counts when it comes, a request when it is done: there may be more of the former.
        ok, *others = (int(number) for number in match(r"codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", printed))
        if failed or errored or timed_out or any(others) or succeeded != done or ok < done:
            raise Refused(f"h2load saw requests fail:\n{printed}")
        return Answered(done, float(seconds))


def run(command, seconds, cores):
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + 20,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if ended.returncode != 0:
        raise Refused(f"{command[0]} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def flags(lines):
    return [part for line in lines for part in ("-H", line)]


def match(pattern, printed):
    found = re.search(pattern, printed)
    if found is None:
        raise Refused(f"the load tool printed no `{pattern}`:\n{printed}")
    return found.groups()
