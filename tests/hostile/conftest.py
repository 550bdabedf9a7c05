from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio

from agentgather.edge.serve import open_listener, serve_http
from tests.doubles.raw_http import RawServer
from tests.doubles.table import Table


@pytest.fixture
async def server(real_table: Table) -> AsyncIterator[RawServer]:
    """The room of ``real_table`` behind a real socket."""
    stop = trio.Event()
    listeners = open_listener("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(
                serve_http,
                real_table.app,
                listeners,
                stop=stop,
                on_stop=real_table.live.hub.release,
            )
        )
        yield RawServer(port)
        stop.set()
