"""The load tools: what they send, and what they say came back."""

import dataclasses
import os
import re
import socket
import ssl
import statistics
import subprocess
import time

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
BIG = 10 * 1024 * 1024


class Refused(Exception):
    """A result that must not be read: requests failed, or were not what they should be."""


def host_names(count):
    """The names that a proxy with so many hosts serves, with the ordinary one among them."""
    return [HOST, *(f"host-{number:05}.example.com" for number in range(1, count))]


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
    path: str = "/"
    upload: int = 0
    """Bytes that each request carries."""
    hosts: int = 1
    """Names that the requests ask for in turn."""

    def in_flight(self):
        return self.connections

    def run(self, port, seconds, cores, directory):
        lines = [*(f"{name}: {value}" for name, value in HEADERS.items())]
        if self.hosts == 1:
            lines.append(f"Host: {HOST}")
        if self.close:
            lines.append("Connection: close")
        url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}{self.path}"
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s", *flags(lines)]
        script = directory / "wrk.lua"
        if lua := self.script():
            script.write_text(lua)
            command += ["-s", str(script)]
        printed = run([*command, url], seconds, cores)
        for trouble in ("Non-2xx or 3xx responses:", "Socket errors:"):
            if trouble in printed:
                raise Refused(f"wrk saw requests fail:\n{printed}")
        requests, unit_seconds, unit = match(r"(\d+) requests in ([\d.]+)(ms|s|m),", printed)
        return Answered(int(requests), float(unit_seconds) * {"ms": 0.001, "s": 1, "m": 60}[unit])

    def script(self):
        """What wrk can't be told by options."""
        if self.upload:
            return f'wrk.method = "POST"\nwrk.body = string.rep("x", {self.upload})\n'
        if self.hosts > 1:
            names = ", ".join(f'"{name}"' for name in host_names(self.hosts))
            return (
                f"local names = {{{names}}}\nlocal requests, turn = {{}}, 0\n"
                "function init(args)\n  for i, name in ipairs(names) do\n"
                '    wrk.headers["Host"] = name\n    requests[i] = wrk.format()\n  end\nend\n'
                "function request()\n  turn = turn % #requests + 1\n  return requests[turn]\nend\n"
            )
        return ""


@dataclasses.dataclass(frozen=True)
class H2load:
    """HTTP/2 with prior knowledge by h2load."""

    connections: int
    streams: int

    def in_flight(self):
        return self.connections * self.streams

    def run(self, port, seconds, cores, _directory):
        shape = ["-c", str(self.connections), "-m", str(self.streams), "-D", str(seconds)]
        return Answered(h2load([*shape, f"http://127.0.0.1:{port}/"], seconds, cores), float(seconds))


@dataclasses.dataclass(frozen=True)
class Paced:
    """HTTP/1.1 at a fixed rate by h2load, which logs how long each request took."""

    connections: int
    rate: int
    """Requests per second, all connections together."""

    def percentile(self, port, seconds, cores, directory):
        """Microseconds within which 99 of 100 requests were answered."""
        log = directory / "latencies"
        log.unlink(missing_ok=True)
        # It does not end by itself with both a rate and a duration.
        shape = ["--h1", "-c", str(self.connections), "--rps", str(self.rate // self.connections)]
        # One connection begins after the other, so that their requests do not come all at once.
        shape += ["-r", "1", "--rate-period", f"{1000 // self.rate or 1}ms"]
        started = time.monotonic()
        count = str(self.rate * seconds)
        h2load([*shape, "-n", count, f"--log-file={log}", f"http://127.0.0.1:{port}/"], seconds, cores)
        took = [int(line.split("\t")[2]) for line in log.read_text().splitlines()]
        if time.monotonic() - started > seconds * 1.2:
            raise Refused(f"{count} requests took more than {seconds} s: the rate of {self.rate}/s was not kept")
        return statistics.quantiles(took, n=100)[98]


def h2load(arguments, seconds, cores):
    """Runs it, and says how many requests were answered."""
    lines = [f"{name.lower()}: {value}" for name, value in HEADERS.items()]
    lines.append(f":authority: {HOST}")  # with --h1 it becomes the Host
    printed = run(["h2load", "-t", "1", *flags(lines), *arguments], seconds, cores)
    done, succeeded, failed, errored, timed_out = (
        int(number)
        for number in match(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", printed)
    )
    # A status counts when it comes, a request when it is done: there may be more of the former.
    ok, *others = (int(number) for number in match(r"codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", printed))
    if failed or errored or timed_out or any(others) or succeeded != done or ok < done:
        raise Refused(f"h2load saw requests fail:\n{printed}")
    return done


class Silent:
    """Connections that have had one answer each, and are silent since."""

    def __init__(self, port, *, http2, tls):
        self._port, self._http2, self._open = port, http2, []
        self._tls = None
        if tls:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        lines = [f"Host: {HOST}", *(f"{name}: {value}" for name, value in HEADERS.items())]
        self._http1_request = ("GET / HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()

    def grow_to(self, count):
        while len(self._open) < count:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            if self._tls:
                connection = self._tls.wrap_socket(connection)
            if self._http2:
                ask_http2(connection)
            else:
                ask_http1(connection, self._http1_request)
            self._open.append(connection)

    def close(self):
        for connection in self._open:
            connection.close()


def ask_http1(connection, request):
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += received(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
    while len(body) < length:
        body += received(connection)


def ask_http2(connection):
    """A request of four fields that HPACK's static table knows, and the answer up to its end."""
    fields = b"\x82\x86\x84" + b"\x41" + bytes([len(HOST)]) + HOST.encode()
    settings, headers = frame(4, 0, 0, b""), frame(1, 5, 1, fields)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + headers)
    buffer = b""
    while True:
        while len(buffer) < 9 or len(buffer) < 9 + int.from_bytes(buffer[:3], "big"):
            buffer += received(connection)
        length, kind, flag = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4]
        stream, buffer = int.from_bytes(buffer[5:9], "big"), buffer[9 + length :]
        if kind == 4 and not flag & 1:
            connection.sendall(frame(4, 1, 0, b""))
        if stream == 1 and flag & 1:
            return


def frame(kind, flag, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flag]) + stream.to_bytes(4, "big") + payload


def received(connection):
    some = connection.recv(65536)
    if not some:
        raise Refused("the proxy closed a connection that should stay idle")
    return some


def until_answered(port, deadline):
    """Returns when a request is answered on the port; it is asked again and again."""
    request = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    started = time.monotonic()
    while time.monotonic() < started + deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=deadline) as connection:
                connection.sendall(request)
                if connection.recv(65536).startswith(b"HTTP/1.1 200 "):
                    return
        except ConnectionError:
            pass
        time.sleep(0.0005)
    raise Refused(f"nothing answered on {port} within {deadline} s")


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
