"""A gRPC server whose messages are plain bytes. Prints its port, and then what it sees of calls that were given up."""

import sys
import time
from concurrent import futures

import grpc

METHODS = {}


def method(kind):
    def register(function):
        METHODS["/peers.Echo/" + function.__name__] = (kind, function)
        return function
    return register


@method(grpc.unary_unary_rpc_method_handler)
def Unary(request, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", metadata.get("x-asked", "nothing")),))
    context.set_trailing_metadata((("x-trailing", "text"), ("x-bytes-bin", b"\x00\xff,")))
    return request


@method(grpc.unary_stream_rpc_method_handler)
def ServerStream(request, context):
    for number in range(int(request)):
        yield b"%d" % number


@method(grpc.stream_unary_rpc_method_handler)
def ClientStream(requests, context):
    return b"%d" % sum(len(request) for request in requests)


@method(grpc.stream_stream_rpc_method_handler)
def Both(requests, context):
    for request in requests:
        yield request


@method(grpc.unary_unary_rpc_method_handler)
def Fails(request, context):
    context.set_trailing_metadata((("x-why", "told"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: 100 % wrong, \u00fc")


@method(grpc.unary_unary_rpc_method_handler)
def Slow(request, context):
    context.add_callback(lambda: print("ended", time.time(), file=sys.stderr, flush=True))
    while context.is_active():
        time.sleep(0.02)
    return b"nobody waits for this"


@method(grpc.unary_stream_rpc_method_handler)
def Endless(request, context):
    context.add_callback(lambda: print("cancelled", file=sys.stderr, flush=True))
    while context.is_active():
        yield b"more"
        time.sleep(0.02)


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        known = METHODS.get(details.method)
        return known and known[0](known[1])


server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), handlers=[Handler()],
                     options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
server.wait_for_termination()
