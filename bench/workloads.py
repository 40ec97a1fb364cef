"""What is measured: the load, and the hops that it goes through."""

import dataclasses

from load import H2load, Wrk
from proxies import Hop


@dataclasses.dataclass(frozen=True)
class Workload:
    """A load and what it is sent through."""

    name: str
    text: str
    load: object
    http2_in: bool = False
    tls_in: bool = False
    pair: bool = False

    def hops(self, origin, ports):
        """The hops in the order of a request's way."""
        if not self.pair:
            return [Hop(listen=ports.take(), forward=origin, http2_in=self.http2_in, tls_in=self.tls_in)]
        outer, inner = ports.take(), ports.take()
        return [
            Hop(listen=outer, forward=inner, http2_in=self.http2_in, tls_out=True),
            Hop(listen=inner, forward=origin, tls_in=True),
        ]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("W1", "HTTP/1.1 to HTTP/1.1, 64 connections", Wrk(connections=64)),
        Workload(
            "W2", "HTTP/2 to HTTP/1.1, 10 connections x 32 streams", H2load(connections=10, streams=32), http2_in=True
        ),
        Workload("W4", "TLS 1.3 in, HTTP/1.1, 64 connections", Wrk(connections=64, tls=True), tls_in=True),
        Workload("W6", "a pair with TLS between, 64 connections of HTTP/1.1", Wrk(connections=64), pair=True),
        Workload(
            "W11",
            "a full TLS 1.3 handshake, one request, close; 16 at a time",
            Wrk(connections=16, tls=True, close=True),
            tls_in=True,
        ),
    )
}
