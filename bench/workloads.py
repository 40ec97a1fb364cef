"""What is measured: the load, the hops that it goes through, and what it may cost."""

import dataclasses

import proxies
from load import BIG, H2load, Paced, Wrk
from proxies import Hop

MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Must:
    """A bound on a figure of waypost's: as a part of another's in the same round or, without one, as it is."""

    limit: float
    of: str = ""


@dataclasses.dataclass(frozen=True)
class Shape:
    """One that takes part in a workload: a peer by its name, or waypost with fields of `Hop` that differ."""

    name: str
    differing: dict
    load: object = None
    """Another load than the workload's, where the comparison is about that."""
    silent: int = 0
    """Connections that are open beside those of the load, and say nothing."""
    of: str = "waypost"
    """Whose shape it is."""

    def start(self):
        return proxies.STARTERS.get(self.name, proxies.STARTERS[self.of])


@dataclasses.dataclass(frozen=True)
class Workload:
    """A load and what it is sent through; what is counted of it follows from its kind."""

    name: str
    text: str
    load: object = None
    unit: str = "CPU us/request"
    per: float = 1.0
    """Units in one request: a big body counts as its mebibytes."""
    hop: dict = dataclasses.field(default_factory=dict)
    """What the hops are like: fields of `Hop`."""
    pair: bool = False
    without: tuple = ()
    """Peers that can't do it."""
    peers: bool = True
    """Whether other proxies take part."""
    own: tuple = ()
    """waypost in other shapes beside the ordinary one."""
    must: tuple = ()

    def participants(self, peers):
        """Who takes part."""
        able = [peer for peer in peers if peer == "waypost" or (self.peers and self.is_for(peer))]
        return [Shape(peer, {}) for peer in able] + (list(self.own) if "waypost" in able else [])

    def is_for(self, peer):
        """Whether it can do that; pingora's pass-through is made for the plainest."""
        return peer not in self.without and (peer != "pingora" or self.name == "W1")

    def hops(self, origin, ports, differing):
        """The hops in the order of a request's way."""
        fields = {**self.hop, **differing}
        if self.pair:
            outer, inner = ports.take(), ports.take()
            to = origin.for_hop(http2_out=False, tls_out=False, endpoints=1)
            return [
                Hop(listen=outer, forward=inner, tls_out=True, **{"http2_out": True, **fields}),
                Hop(listen=inner, forward=to, tls_in=True),
            ]
        hop = Hop(listen=ports.take(), forward=0, **fields)
        to = origin.for_hop(http2_out=hop.http2_out, tls_out=hop.tls_out, endpoints=hop.endpoints)
        return [dataclasses.replace(hop, forward=to)]


class Latency(Workload):
    """How much later answers come than without the proxy, at a fixed rate."""


class Idle(Workload):
    """Memory of connections that have been used once; the first thousand is not counted."""

    def counts(self):
        return (1_000, 3_000 if self.hop.get("tls_in") else 5_000)


class Start(Workload):
    """From the start of the process to its first answer; or, in MiB, the memory that it has then."""


def table(*workloads):
    return {workload.name: workload for workload in workloads}


HTTP1 = Wrk(connections=64)
HTTP2 = H2load(connections=10, streams=32)

WORKLOADS = table(
    Workload(
        "W1",
        "HTTP/1.1 to HTTP/1.1, 64 connections",
        HTTP1,
        must=(Must(1.15, "haproxy"), Must(1.1, "nginx"), Must(0.6, "pingora"), Must(0.35, "envoy")),
    ),
    Workload(
        "W2",
        "HTTP/2 to HTTP/1.1, 10 connections x 32 streams",
        HTTP2,
        hop={"http2_in": True},
        must=(Must(1.6, "haproxy"), Must(1.0, "nginx")),
    ),
    Workload(
        "W3",
        "HTTP/2 to HTTP/2, 10 connections x 32 streams",
        HTTP2,
        hop={"http2_in": True, "http2_out": True},
        without=("nginx",),
        must=(Must(1.5, "haproxy"),),
    ),
    Workload(
        "W4",
        "TLS 1.3 in, HTTP/1.1, 64 connections",
        Wrk(connections=64, tls=True),
        hop={"tls_in": True},
        must=(Must(1.1, "haproxy"),),
    ),
    Workload(
        "W5", "TLS 1.3 out, HTTP/1.1, 64 connections", HTTP1, hop={"tls_out": True}, must=(Must(1.15, "haproxy"),)
    ),
    Workload(
        "W6",
        "a pair with TLS between, 64 connections of HTTP/1.1",
        HTTP1,
        pair=True,
        must=(Must(1.3, "haproxy"), Must(0.65, "nginx")),
    ),
    Workload(
        "W7",
        "10 MiB down, 4 connections",
        Wrk(connections=4, path="/down"),
        unit="CPU us/MiB",
        per=BIG / MIB,
        must=(Must(0.6, "haproxy"),),
    ),
    Workload(
        "W8",
        "10 MiB up, 4 connections",
        Wrk(connections=4, path="/up", upload=BIG),
        unit="CPU us/MiB",
        per=BIG / MIB,
        must=(Must(0.7, "haproxy"),),
    ),
    Latency(
        "W9",
        "added at 2,000 requests/s, 16 connections: 99 of 100 within",
        Paced(connections=16, rate=2_000),
        unit="us",
        must=(Must(1.1, "nginx"),),
    ),
    Idle("W10", "an idle HTTP/1.1 connection", unit="KiB", must=(Must(16),)),
    Idle("W10h2", "an idle HTTP/2 connection", unit="KiB", hop={"http2_in": True}),
    Idle("W10T", "an idle connection with TLS, HTTP/1.1", unit="KiB", hop={"tls_in": True}, must=(Must(28),)),
    Workload(
        "W11",
        "a full TLS 1.3 handshake, one request, close; 16 at a time",
        Wrk(connections=16, tls=True, close=True),
        hop={"tls_in": True},
        must=(Must(0.8, "haproxy"),),
    ),
    Workload(
        "W12",
        "W1 with 10,000 hosts in turn",
        Wrk(connections=64, hosts=10_000),
        hop={"hosts": 10_000},
        own=(Shape("W1", {"hosts": 1}, HTTP1),),
        must=(Must(1.05, "W1"),),
    ),
    Start("W13", "start to first answer, 1,000 rules", unit="ms", hop={"hosts": 1_000}, must=(Must(50),)),
    Start("W13m", "memory then", unit="MiB", hop={"hosts": 1_000}, must=(Must(15),)),
    Workload(
        "workers",
        "W1 with two workers, on all cores with origin and load",
        HTTP1,
        hop={"workers": 2, "spread": True},
        peers=False,
        own=(Shape("one worker", {"workers": 1}),),
        must=(Must(1.05, "one worker"),),
    ),
)

FEATURES = table(
    Workload(
        "features",
        "W1 without one feature",
        HTTP1,
        peers=False,
        own=tuple(Shape(f"no {feature}", {"without": (feature,)}) for feature in proxies.FEATURES)
        + (Shape("none of these", {"without": tuple(proxies.FEATURES)}),),
    )
)

SIZES = (10, 100, 1_000, 10_000)


def growth(name, text, fields, load, silent=lambda n: 0, haproxy=False):
    """waypost with more and more of something, beside the ordinary one; and HAProxy with one and with most."""
    shapes = [Shape(f"{size:,}", fields(size), load(size), silent(size)) for size in SIZES]
    if haproxy:
        shapes += [Shape("HAProxy", fields(1), of="haproxy")]
        shapes += [Shape(f"HAProxy, {size:,}", fields(size), of="haproxy") for size in SIZES[-1:]]
    return Workload(name, text, load(1), hop=fields(1), peers=False, own=tuple(shapes))


GROWTH = table(
    growth("routes", "rules, all to one service", lambda n: {"hosts": n}, lambda n: Wrk(64, hosts=n)),
    growth("services", "services", lambda n: {"hosts": n, "services": True}, lambda n: Wrk(64, hosts=n)),
    growth("endpoints", "endpoints of one service", lambda n: {"endpoints": n}, lambda _: HTTP1, haproxy=True),
    growth("connections", "silent connections of clients", lambda _: {}, lambda _: HTTP1, lambda n: n),
)
