"""Messages as HTML: rendered once each, and kept while there is room.

Rendering is the one thing in a room that takes the processor for milliseconds, so it is
done in a thread, one text at a time, and the loop only puts together what is there.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Container, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import msgspec
import trio

from agentgather.domain.log import FRAME_BYTES
from agentgather.wire.limits import MAX_PAGE_BYTES, MAX_RENDERED_BYTES, RENDER_SECONDS
from agentgather.wire.records import decode_message

Record = tuple[int, bytes]
"""A cursor, and the bytes of the record behind it."""

_encode: Final = msgspec.json.Encoder().encode
_ENTRY_OVERHEAD_BYTES: Final = 200
# By then a room of 100,000 messages has been read, and what waited for the server is served.
_WARM_UP_SECONDS: Final = 1
# In the languages that agents write most: a lexer is made when it is first used.
_SAMPLE: Final = "".join(f"```{name}\nx\n```\n" for name in ("python", "js", "ts", "bash", "diff"))


class Rendering:
    """One per room. What it knows follows from the log, so all of it may be forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, bytes] = OrderedDict()
        self._kept_bytes = 0
        # Who comes second finds what the first has rendered, instead of doing it again.
        self._turn = trio.Lock()
        # A reader who asks for many pages waits for itself, and stands in line once.
        self._turns_of: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        self._thread = trio.CapacityLimiter(1)
        self.page_opened = trio.Event()
        """Set when somebody opens the page, who will want messages a moment later."""
        self.busy = 0
        """How many callers wait for the thread."""

    async def warm_up(self) -> None:
        """Load the libraries: when somebody opens the page, or once the server has started.

        They take 100 ms and 9 MiB; whoever comes first is not to wait for them.
        """
        with trio.move_on_after(_WARM_UP_SECONDS):
            await self.page_opened.wait()
        with self._busy():
            await trio.to_thread.run_sync(_render, _SAMPLE, (), limiter=self._thread)

    async def render_records(self, reader: str, records: Sequence[Record]) -> list[Record]:
        """Give records with a last key ``html``: as many, from the first, as fit a page.

        A page is cut at ``MAX_PAGE_BYTES`` and after ``RENDER_SECONDS``, but not before the
        first cursor, nor between records that share one. Cancelling waits for the text that is
        being rendered, and loses nothing.
        """
        page = _fill(records, self._recall(records))
        if page is None:
            with self._busy():
                async with self._in_turn(reader):
                    ready = self._recall(records)
                    fresh = await trio.to_thread.run_sync(
                        partial(_render_missing, records, ready), limiter=self._thread
                    )
                for entry, rendered in fresh.items():
                    self._keep(entry, rendered)
            page = _fill(records, ready | fresh, is_all=True)
        assert page is not None, "the first cursor's records are always rendered"
        return page

    async def render_text(
        self, reader: str, text: str, mentions: Container[str], *, keep: bool = False
    ) -> str:
        """Give a text as HTML. One that many ask for, again and again, is worth keeping."""
        key = (text, mentions)
        known = self._kept.get(key)
        if known is None:
            with self._busy():
                async with self._in_turn(reader):
                    known = self._kept.get(key)
                    if known is None:
                        html = await trio.to_thread.run_sync(
                            _render, text, mentions, limiter=self._thread
                        )
                        if keep:
                            self._keep(key, html.encode())
                        return html
        self._kept.move_to_end(key)
        return known.decode()

    @asynccontextmanager
    async def _in_turn(self, reader: str) -> AsyncIterator[None]:
        """Stand in line for the thread, each reader once."""
        async with self._turns_of.setdefault(reader, trio.Lock()), self._turn:
            yield

    def _recall(self, records: Sequence[Record]) -> dict[bytes, bytes]:
        ready: dict[bytes, bytes] = {}
        for _, entry in records:
            rendered = self._kept.get(entry)
            if rendered is not None:
                self._kept.move_to_end(entry)
                ready[entry] = rendered
        return ready

    def _keep(self, key: object, rendered: bytes) -> None:
        if key in self._kept:
            return
        self._kept[key] = rendered
        self._kept_bytes += len(rendered) + _ENTRY_OVERHEAD_BYTES
        while self._kept_bytes > MAX_RENDERED_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest) + _ENTRY_OVERHEAD_BYTES

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


def _fill(
    records: Sequence[Record], ready: Mapping[bytes, bytes], *, is_all: bool = False
) -> list[Record] | None:
    """Give a page; None if it would hold more, were everything rendered."""
    page: list[Record] = []
    size = FRAME_BYTES
    for cursor, entry in records:
        rendered = ready.get(entry)
        if rendered is None:
            if not is_all:
                return None
            # Records that share a cursor stay together.
            while page and page[-1][0] == cursor:
                page.pop()
            break
        size += len(rendered) + len(",")
        if size > MAX_PAGE_BYTES and page and page[-1][0] != cursor:
            break
        page.append((cursor, rendered))
    return page


def _render_missing(records: Sequence[Record], ready: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Render in the thread what a page lacks, while there is time and room."""
    started = time.perf_counter()
    fresh: dict[bytes, bytes] = {}
    size = 0
    for cursor, entry in records:
        is_late = time.perf_counter() - started > RENDER_SECONDS
        if cursor != records[0][0] and (is_late or size > MAX_PAGE_BYTES):
            break
        rendered = ready.get(entry) or fresh.get(entry)
        if rendered is None:
            rendered = fresh[entry] = _with_html(entry)
        size += len(rendered)
    return fresh


def _with_html(entry: bytes) -> bytes:
    message = decode_message(entry)
    html = _encode(_render(message.text, message.mentions))
    return b'%b,"html":%b}' % (entry.rstrip().removesuffix(b"}"), html)


def _render(text: str, mentions: Container[str]) -> str:
    # Here for start-up time: a server answers before it has loaded what only the page needs.
    from agentgather.page.render import render_markdown

    return render_markdown(text, mentions)
