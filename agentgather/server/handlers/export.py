"""GET /export: the whole room as a file, streamed.

The same documents as ``agentgather export`` writes. It is a snapshot of what is visible
when it starts. A page is put together, sent, and forgotten, so that a log of any length
takes the memory of one page, and a slow reader makes nobody else wait.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agentgather.domain.export import markdown_head, markdown_message, render_json
from agentgather.domain.log import Log
from agentgather.edge.answers import JSON, NO_STORE, SECURITY_HEADERS, TEXT, Answer
from agentgather.server.visits import Visit
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import EXPORT_SLICE, EXPORT_SLICE_BYTES
from agentgather.wire.records import encode_plain

logger: Final = logging.getLogger(__name__)

_TYPES: Final = {"md": TEXT, "json": JSON}


async def get_export(visit: Visit) -> Answer | None:
    """Stream the room as Markdown or JSON."""
    form = visit.parameters.get("format", "md")
    if form not in _TYPES:
        raise Rejected("invalid_format")
    room = visit.live.room
    name = f'attachment; filename="{room.state.id}.{form}"'
    headers = [
        (b"content-type", _TYPES[form]),
        *SECURITY_HEADERS,
        NO_STORE,
        (b"content-disposition", name.encode()),
    ]
    count = room.log.visible_count
    head = render_json(room.state, room.brief, room.roster, (), visit.now.text())
    await visit.send({"type": "http.response.start", "status": 200, "headers": headers})
    # Empty, so that the head of a HEAD is that of a GET: of unknown length.
    await visit.write(b"", more=True)
    if visit.method != "HEAD":
        pages = _markdown if form == "md" else _json
        try:
            _check_host(visit)
            for page in pages(head, room.log, count):
                await visit.write(page, more=True)
                _check_host(visit)
        # Without an end the server cuts the connection: nobody takes half for the whole.
        except Rejected:
            return None
        except Exception:
            logger.exception("an export failed")
            return None
    await visit.write(b"", more=False)
    return None


def _markdown(head: dict[str, Any], log: Log, count: int) -> Iterator[bytes]:
    yield markdown_head(head, count).encode()
    for messages in _pages(log, count):
        yield "".join(map(markdown_message, messages)).encode()


def _json(head: dict[str, Any], log: Log, count: int) -> Iterator[bytes]:
    """Give the bytes that ``encode_plain`` makes of the whole document, page by page."""
    empty = b"[]\n}\n"
    whole = encode_plain(head)
    assert whole.endswith(empty), "the messages come last"
    if not count:
        yield whole
        return
    yield whole.removesuffix(empty)
    before = b"["
    for messages in _pages(log, count):
        page = []
        for message in messages:
            document = msgspec.json.format(msgspec.json.encode(message), indent=2)
            page.append(before + b"\n    " + document.replace(b"\n", b"\n    "))
            before = b","
        yield b"".join(page)
    yield b"\n  ]\n}\n"


def _pages(log: Log, count: int) -> Iterator[list[Mapping[str, Any]]]:
    start = 0
    while start < count:
        page: list[bytes] = []
        size = 0
        for entry in log.entries(start, min(start + EXPORT_SLICE, count)):
            page.append(entry)
            size += len(entry)
            if size > EXPORT_SLICE_BYTES:
                break
        start += len(page)
        yield [msgspec.json.decode(entry) for entry in page]


def _check_host(visit: Visit) -> None:
    """Refuse a seat that was removed, or given to another, while it was sent the room."""
    if not visit.current_seat(visit.now).is_host:
        raise Rejected("host_required")
