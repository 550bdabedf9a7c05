"""What posters and readers saw of a room, held against its log.

Whoever asks the room notes when it asked (``now``) and what came back. Moments are numbers
that go up; of two of them the smaller one was before the other, whoever noted it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

Message = dict[str, Any]

LOST: Final = "lost"
"""It was acknowledged, and is not in the log."""
TWICE: Final = "twice"
"""It is in the log more than once, or a reader was given it again."""
RENUMBERED: Final = "renumbered"
"""It has another id than was told."""
REORDERED: Final = "reordered"
"""It was posted after the other one had been acknowledged, and comes before it."""
CHANGED: Final = "changed"
"""It says something else than was told."""
GAP: Final = "gap"
"""The log jumps over ids."""
MISSED: Final = "missed"
"""A reader was led past it."""
TAKEN_BACK: Final = "taken back"
"""A reader was shown it, and it is not in the log."""
SLEPT: Final = "slept through"
"""A reader waited, or was sent away, although it was there before the reader asked."""


class Fault(NamedTuple):
    """What is wrong, and where."""

    kind: str
    what: str


class Post(NamedTuple):
    """A message that was acknowledged. ``key`` is its ``client_msg_id``."""

    key: str
    text: str
    message_id: int
    asked_at: int
    acknowledged_at: int


class Answer(NamedTuple):
    """What a reader was given for a cursor."""

    since_id: int
    messages: list[Message]
    next_since_id: int
    has_more: bool
    asked_at: int
    wakes_for_all: bool


class History:
    """Notes, and a judgement of them."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.answers: dict[str, list[Answer]] = {}
        self._moment = 0

    def now(self) -> int:
        """Give this moment, which is after all that was noted so far."""
        self._moment += 1
        return self._moment

    def acknowledged(self, key: str, text: str, message_id: int, asked_at: int) -> None:
        """Note that a post has its answer. ``asked_at``: when it was first tried."""
        self.posts.append(Post(key, text, message_id, asked_at, self.now()))

    def answered(
        self,
        reader: str,
        since_id: int,
        document: dict[str, Any],
        asked_at: int,
        *,
        wakes_for_all: bool = True,
    ) -> None:
        """Note the answer to a wait, or to any reading from a cursor.

        Without ``wakes_for_all`` the reader asked to sleep through what concerns others.
        """
        answer = Answer(
            since_id,
            document["messages"],
            document["next_since_id"],
            document["has_more"],
            asked_at,
            wakes_for_all,
        )
        self.answers.setdefault(reader, []).append(answer)

    def streamed(self, reader: str, message: Message) -> None:
        """Note a message of an event stream, which nobody asks for, so that none is late."""
        self.answers.setdefault(reader, []).append(
            Answer(message["id"] - 1, [message], message["id"], True, self.now(), True)
        )

    def seen(self, reader: str) -> list[Message]:
        """Give all that a reader was given, in order."""
        return [message for answer in self.answers.get(reader, ()) for message in answer.messages]

    def faults(self, log: Sequence[Message], *, to_the_end: bool = True) -> list[Fault]:
        """Compare all of it with the log.

        With ``to_the_end`` each reader has read all there is.
        """
        found = [*_in_log(log), *self._in_posts(log), *self._in_order()]
        by_id = {message["id"]: message for message in log}
        for reader, answers in self.answers.items():
            found += _in_stream(reader, answers, by_id)
            end = log[-1]["id"] if log else 0
            if to_the_end and answers[-1].next_since_id < end:
                found.append(Fault(MISSED, f"{reader} stopped at {answers[-1].next_since_id}"))
        return [*found, *self._slept()]

    def _in_posts(self, log: Sequence[Message]) -> Iterator[Fault]:
        by_key = {message["client_msg_id"]: message for message in log if _key(message)}
        for post in self.posts:
            message = by_key.get(post.key)
            if message is None:
                yield Fault(LOST, f"{post.key} was acknowledged as {post.message_id}")
            elif message["id"] != post.message_id:
                yield Fault(
                    RENUMBERED,
                    f"{post.key} was acknowledged as {post.message_id}, and is {message['id']}",
                )
            elif message["text"] != post.text:
                yield Fault(CHANGED, f"{post.key} is {message['text']!r}, not {post.text!r}")

    def _in_order(self) -> Iterator[Fault]:
        acknowledged = self._acknowledged()
        for post in self.posts:
            before = acknowledged.highest(post.asked_at)
            if before >= post.message_id:
                yield Fault(
                    REORDERED, f"{post.key} is {post.message_id}, and was posted after {before}"
                )

    def _slept(self) -> Iterator[Fault]:
        acknowledged = self._acknowledged()
        for reader, answers in self.answers.items():
            for answer in answers:
                there = acknowledged.highest(answer.asked_at)
                if answer.wakes_for_all and not answer.has_more and answer.next_since_id < there:
                    yield Fault(
                        SLEPT,
                        f"{reader} asked after {answer.since_id} and was led to "
                        f"{answer.next_since_id}; {there} had been acknowledged",
                    )

    def _acknowledged(self) -> "_Acknowledged":
        return _Acknowledged(self.posts)


class _Acknowledged:
    """Says which id was the highest that had been acknowledged at a moment."""

    def __init__(self, posts: list[Post]) -> None:
        self._moments: list[int] = []
        self._highest = [0]
        for post in posts:
            self._moments.append(post.acknowledged_at)
            self._highest.append(max(self._highest[-1], post.message_id))

    def highest(self, moment: int) -> int:
        return self._highest[bisect_left(self._moments, moment)]


def _key(message: Message) -> str | None:
    return message.get("client_msg_id")


def _in_log(log: Sequence[Message]) -> Iterator[Fault]:
    keys = Counter(key for message in log if (key := _key(message)))
    yield from (Fault(TWICE, f"{key} is in the log") for key, count in keys.items() if count > 1)
    before = 0
    for message in log:
        if message["id"] > before + 1:
            yield Fault(GAP, f"{message['id']} comes after {before}")
        elif message["id"] <= before:
            yield Fault(TWICE, f"the id {message['id']}, after {before}")
        before = max(before, message["id"])


def _in_stream(reader: str, answers: list[Answer], by_id: dict[int, Message]) -> Iterator[Fault]:
    at = 0
    for answer in answers:
        for message in answer.messages:
            number = message["id"]
            if number <= at:
                yield Fault(TWICE, f"{reader} was given {number} after {at}")
            yield from _passed(reader, at, number, by_id)
            if number not in by_id:
                yield Fault(TAKEN_BACK, f"{reader} was given {number}")
            elif message != by_id[number]:
                yield Fault(CHANGED, f"{reader} was given another {number}")
            at = max(at, number)
        yield from _passed(reader, at, answer.next_since_id + 1, by_id)
        at = max(at, answer.next_since_id)


def _passed(reader: str, at: int, number: int, by_id: dict[int, Message]) -> Iterator[Fault]:
    """Say which messages a reader was led past on its way from ``at`` to ``number``."""
    for between in range(at + 1, number):
        if between in by_id:
            yield Fault(MISSED, f"{reader} was led past {between}")
