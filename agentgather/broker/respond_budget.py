"""The bodies of older hosts' answers while they come in.

Whose they are is known when they are here, so a stranger can send them too: all of them
share so many bytes, and one address so many of those.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agentgather.edge.counts import Counts
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import (
    MAX_BODY_BYTES,
    MAX_CLIENT_RESPONDS_BYTES,
    MAX_OLDER_RESPOND_BYTES,
    MAX_OLDER_RESPONDS_BYTES,
)


class RespondBudget:
    """What of it is in use."""

    def __init__(self) -> None:
        self._bytes = 0
        self._by_client = Counts()

    @contextmanager
    def allow(self, headers: Mapping[bytes, bytes], client: str) -> Iterator[int]:
        """Give how long a body may be, and count it until the block is left.

        A body that does not announce its length is a small one.

        Raises:
            Rejected: ``request_too_large``.
            Unavailable: ``overloaded``.

        """
        size = int(headers.get(b"content-length", b"0"))
        if size > MAX_OLDER_RESPOND_BYTES:
            raise Rejected("request_too_large", "an answer is at most 1 MiB")
        if size <= MAX_BODY_BYTES:
            yield MAX_BODY_BYTES
            return
        if (
            self._bytes + size > MAX_OLDER_RESPONDS_BYTES
            or self._by_client.of(client) + size > MAX_CLIENT_RESPONDS_BYTES
        ):
            raise Unavailable("overloaded", retry_after=1)
        self._bytes += size
        self._by_client.add(client, size)
        try:
            yield size
        finally:
            self._bytes -= size
            self._by_client.take(client, size)
