"""Who wrote how much and when, for a picture of the room: 12 bytes for each message."""

from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from agentgather.wire.limits import ACTIVITY_SLICE, MAX_ACTIVITY_BUCKETS, MAX_ACTIVITY_NAMES

_SECOND: Final = 1_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
BUCKETS_MS: Final = (
    *(_SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28)),
)
"""The lengths that a bucket can have; of a longer time a multiple of the last."""


class Row(NamedTuple):
    """One sender's messages, in all and by bucket."""

    alias: str
    total: int
    counts: list[int]


class Picture(NamedTuple):
    """Messages from ``from_ms`` to ``to_ms``. ``others`` is None if everybody has a row."""

    from_ms: int
    to_ms: int
    bucket_ms: int
    rows: list[Row]
    others: Row | None


class Activity:
    """Time and sender of each message, in the order of the log."""

    def __init__(self) -> None:
        self._from_ms: int | None = None
        self._times = array("q")
        self._senders = array("I")
        self._numbers: dict[str, int] = {}
        self._totals: list[int] = []

    def begin(self, ms: int) -> None:
        """Take note of when the room's first record was written."""
        if self._from_ms is None:
            self._from_ms = ms

    def add(self, ms: int, sender: str) -> None:
        """Take in the next message."""
        self.begin(ms)
        number = self._numbers.setdefault(sender, len(self._totals))
        if number == len(self._totals):
            self._totals.append(0)
        self._totals[number] += 1
        self._times.append(ms)
        self._senders.append(number)

    def draw(self, now_ms: int) -> Iterator[Picture | None]:
        """Give a picture, last; before it a None for each slice of work, to let others run."""
        from_ms = self._from_ms if self._from_ms is not None else now_ms
        # A clock can have been set back since.
        to_ms = max(now_ms, from_ms)
        bucket_ms = choose_bucket_ms(to_ms - from_ms)
        last = (to_ms - from_ms) // bucket_ms
        aliases = sorted(self._numbers, key=lambda a: (-self._totals[self._numbers[a]], a))
        named = aliases[:MAX_ACTIVITY_NAMES]
        counts = {self._numbers[alias]: [0] * (last + 1) for alias in named}
        rest = [0] * (last + 1)
        for start in range(0, len(self._times), ACTIVITY_SLICE):
            end = start + ACTIVITY_SLICE
            for ms, number in zip(self._times[start:end], self._senders[start:end], strict=True):
                bucket = (ms - from_ms) // bucket_ms
                counts.get(number, rest)[min(max(bucket, 0), last)] += 1
            yield None
        rows = [
            Row(alias, self._totals[self._numbers[alias]], counts[self._numbers[alias]])
            for alias in named
        ]
        others = Row("", sum(rest), rest) if len(aliases) > len(named) else None
        yield Picture(from_ms, to_ms, bucket_ms, rows, others)


def choose_bucket_ms(span_ms: int) -> int:
    """Give the shortest bucket of which at most ``MAX_ACTIVITY_BUCKETS`` hold the span."""
    for bucket_ms in BUCKETS_MS:
        if span_ms // bucket_ms < MAX_ACTIVITY_BUCKETS:
            return bucket_ms
    return BUCKETS_MS[-1] * (1 + span_ms // (BUCKETS_MS[-1] * MAX_ACTIVITY_BUCKETS))
