"""The HTTP server with an application that does nothing: what a request costs at least."""

import functools

import trio

from agentgather.edge.serve import open_listener, serve_http


async def hello(scope, receive, send):
    if scope["type"] != "http":
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"5")],
        }
    )
    await send({"type": "http.response.body", "body": b"hello"})


async def main() -> None:
    sockets = open_listener("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(serve_http, hello, sockets, stop=trio.Event()))
        print(sockets[0].getsockname()[1], flush=True)


trio.run(main)
