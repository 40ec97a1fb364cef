"""A gRPC client that calls through a proxy and checks what comes: grpc_client.py ADDRESS AUTHORITY CALLS. Prints `fine`."""

import sys

import grpc

address, authority, calls = sys.argv[1:]
channel = grpc.insecure_channel(address, options=[
    ("grpc.default_authority", authority),
    ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
])
PATIENCE = 20


def fails(call, code):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        return error
    raise AssertionError("it did not fail")


unary = channel.unary_unary("/peers.Echo/Unary")
answer, call = unary.with_call(b"hello", metadata=(("x-asked", "this"),), timeout=PATIENCE)
assert answer == b"hello"
assert dict(call.initial_metadata())["x-initial"] == "this", call.initial_metadata()
trailing = dict(call.trailing_metadata())
assert trailing["x-trailing"] == "text" and trailing["x-bytes-bin"] == b"\x00\xff,", trailing
assert call.code() == grpc.StatusCode.OK

large = bytes(range(256)) * 16384
assert unary(large, timeout=PATIENCE) == large
assert unary(b"", timeout=PATIENCE) == b""

stream = channel.unary_stream("/peers.Echo/ServerStream")
assert [int(part) for part in stream(b"1000", timeout=PATIENCE)] == list(range(1000))
up = channel.stream_unary("/peers.Echo/ClientStream")
assert up((b"x" * 1000 for _ in range(500)), timeout=PATIENCE) == b"500000"
both = channel.stream_stream("/peers.Echo/Both")
sent = [b"%d" % number * 100 for number in range(500)]
assert list(both(iter(sent), timeout=PATIENCE)) == sent


def one_by_one():
    """Each message waits for the answer to the one before: nothing may be held back on the way."""
    import queue
    outgoing = queue.Queue()
    answers = both(iter(outgoing.get, None), timeout=PATIENCE)
    for number in range(20):
        outgoing.put(b"%d" % number)
        assert next(answers) == b"%d" % number
    outgoing.put(None)
    assert list(answers) == []


one_by_one()
error = fails(lambda: channel.unary_unary("/peers.Echo/Fails")(b"", timeout=PATIENCE), grpc.StatusCode.FAILED_PRECONDITION)
assert error.details() == "not like this: 100 % wrong, \u00fc", error.details()
assert dict(error.trailing_metadata())["x-why"] == "told"
fails(lambda: channel.unary_unary("/peers.Echo/Nobody")(b"", timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)
fails(lambda: channel.unary_unary("/peers.Echo/Slow")(b"", timeout=0.3), grpc.StatusCode.DEADLINE_EXCEEDED)

endless = channel.unary_stream("/peers.Echo/Endless")(b"", timeout=PATIENCE)
assert next(endless) == b"more"
endless.cancel()
fails(lambda: list(endless), grpc.StatusCode.CANCELLED)

# waypost's own answer, where a name leads nowhere.
lost = grpc.insecure_channel(address, options=[("grpc.default_authority", "nobody")])
error = fails(lambda: lost.unary_unary("/peers.Echo/Unary")(b"", timeout=PATIENCE), grpc.StatusCode.UNAVAILABLE)
assert "/svc/nobody leads nowhere" in error.details(), error.details()

for number in range(int(calls)):
    message = b"%d" % number
    assert unary(message, timeout=PATIENCE) == message
print("fine")
