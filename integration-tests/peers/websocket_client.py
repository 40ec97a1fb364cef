"""A WebSocket client: text, a large message, ping, the close with its code. Prints `fine`."""

import asyncio
import sys

import websockets


async def main():
    url, host = sys.argv[1:]
    async with websockets.connect(url, host=url.split("//")[1].split(":")[0], max_size=None, subprotocols=["chat"],
                                  extra_headers={"x-caller": host}) as socket:
        assert socket.subprotocol == "chat", socket.subprotocol
        for message in ["hello", "x" * (1 << 20), b"\x00\xff" * 1000]:
            await socket.send(message)
            assert await socket.recv() == message
        await asyncio.wait_for(await socket.ping(), 20)
        await socket.close(4001, "enough")
        assert socket.close_code == 4001, socket.close_code
    print("fine")


asyncio.run(main())
