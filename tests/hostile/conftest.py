"""What holds in every test here, beside what the test itself looks at."""

import resource
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import trio

from agentgather.edge.serve import open_listener, serve_http
from tests.doubles.raw_http import RawServer, descriptors, eventually, request
from tests.doubles.table import Table

NAMED_5XX = {501, 505}
"""Answers to what is no HTTP of ours; every other 5xx would be our fault."""


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever comes, nothing of it is a bug of ours."""
    yield
    found = [one for when in ("setup", "call") for one in caplog.get_records(when)]
    assert [one.getMessage() for one in found if one.exc_info] == []


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Allow a test both ends of more than a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
async def server(real_table: Table) -> AsyncIterator[RawServer]:
    """The room of ``real_table`` behind a real socket.

    Afterwards it lives, has answered no 5xx, and has nothing open but what it began with.
    """
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
        opened = RawServer(port)
        # Once, so that what stays open for good is open.
        await opened.ask(request("GET", "/healthz"))
        before = descriptors()
        yield opened
        assert {status for status in opened.statuses if status >= 500} <= NAMED_5XX
        assert (await opened.ask(request("GET", "/healthz"))).status == 200
        await eventually(lambda: descriptors() <= before)
        assert len(real_table.live.hub) == 0
        stop.set()
