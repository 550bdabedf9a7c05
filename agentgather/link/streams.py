"""The open streams of one end of a link, by number. Pure."""

from agentgather.link.ledger import Account, Ledger
from agentgather.wire.errors import PeerViolation
from agentgather.wire.link import MAX_STREAM_ID


class StreamState:
    """One open stream. ``credit`` is what we may send of our body, in bytes."""

    __slots__ = ("account", "credit", "got_end", "got_head", "id", "sent_end", "sent_head")

    def __init__(self, stream_id: int, credit: int, account: Account) -> None:
        self.id = stream_id
        self.credit = credit
        self.account = account
        self.got_head = self.got_end = False
        self.sent_head = self.sent_end = False


class Streams:
    """All of them. Of those that are closed nothing is kept but the highest number."""

    __slots__ = ("_by_id", "_last_id", "_ledger", "_most", "_send_credit")

    def __init__(self, ledger: Ledger, *, send_credit: int, most: int) -> None:
        self._ledger = ledger
        self._send_credit = send_credit
        self._most = most
        self._by_id: dict[int, StreamState] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._by_id

    def __getitem__(self, stream_id: int) -> StreamState:
        return self._by_id[stream_id]

    @property
    def is_full(self) -> bool:
        """Whether no more may be open."""
        return len(self._by_id) >= self._most

    @property
    def is_used_up(self) -> bool:
        """Whether there is no number left."""
        return self._last_id == MAX_STREAM_ID

    def add(self) -> StreamState:
        """Open a stream of our own. There must be a number and room for it."""
        self._last_id += 1
        return self._open(self._last_id)

    def admit(self, stream_id: int) -> StreamState | None:
        """Open a stream of the peer's. None: there is no room, and it counts as closed.

        Raises:
            PeerViolation: its number does not rise.

        """
        if stream_id <= self._last_id:
            raise PeerViolation("bad_frame", "streams are numbered in rising order")
        self._last_id = stream_id
        return None if self.is_full else self._open(stream_id)

    def find(self, stream_id: int) -> StreamState | None:
        """Give an open stream. None: it is closed.

        Raises:
            PeerViolation: there never was one.

        """
        stream = self._by_id.get(stream_id)
        if stream is None and stream_id > self._last_id:
            raise PeerViolation("bad_frame", "there was no such stream")
        return stream

    def close(self, stream_id: int) -> bool:
        """Forget a stream. False: it was closed already."""
        stream = self._by_id.pop(stream_id, None)
        if stream is None:
            return False
        self._ledger.close(stream.account)
        return True

    def _open(self, stream_id: int) -> StreamState:
        stream = StreamState(stream_id, self._send_credit, self._ledger.open())
        self._by_id[stream_id] = stream
        return stream
