"""Sliding-window limits. Pure: the time is passed in.

Two ways to count, with one promise: in no stretch of the window's length are there more
than ``limit`` events of one key, so there is no burst of twice the limit at a window's
edge. A key is forgotten once a window has passed without it, as soon as new ones come. Bounded:
``MAX_RATE_KEYS`` keys; beyond that the one that was unused the longest is forgotten.
"""

from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil
from typing import Final, TypeVar

from agentgather.wire.limits import MAX_RATE_KEYS, RATE_WINDOW_SECONDS

T = TypeVar("T")
SLICES: Final = 60
"""Of a window that counts coarsely; a key may have to wait for one of them too long."""
_MOST: Final = 2**32 - 1


class SlidingWindow:
    """At most ``limit`` events of one key in any ``RATE_WINDOW_SECONDS``, to the moment.

    It remembers the time of each event: 32 bytes each, so for small limits.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._events)

    def wait_seconds(self, key: str, now: float) -> int:
        """Say in how many whole seconds ``key`` may act again; 0 is now."""
        events = self._events.get(key)
        if events is None or len(events) < self._limit:
            return 0
        return max(0, ceil(events[0] + RATE_WINDOW_SECONDS - now))

    def record(self, key: str, now: float) -> None:
        """Count one event, at a ``now`` that :meth:`wait_seconds` allowed or not."""
        events = self._events.get(key)
        if events is None:
            _make_room(self._events, lambda old: old[-1] <= now - RATE_WINDOW_SECONDS)
            events = self._events[key] = deque(maxlen=self._limit)
        else:
            self._events.move_to_end(key)
        events.append(now)


class CoarseWindow:
    """At most ``limit`` events of one key in any ``seconds``, give or take a slice.

    It counts events by slices of the window, and the slice that the window's edge lies in
    as a whole: a key costs 180 to 530 bytes, whatever the limit.
    """

    def __init__(self, limit: int, seconds: float = RATE_WINDOW_SECONDS) -> None:
        self._limit = limit
        self._slice = seconds / SLICES
        self._counts: OrderedDict[str, _Counts] = OrderedDict()

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._counts)

    def wait_seconds(self, key: str, now: float) -> int:
        """Say in how many whole seconds ``key`` may act again; 0 is now."""
        counts = self._counts.get(key)
        if counts is None or counts.total < self._limit:
            return 0
        counts.advance(int(now // self._slice))
        over = counts.total - self._limit
        if over < 0:
            return 0
        ends = counts.ends_when_fewer_than(over) * self._slice
        return max(1, ceil(ends - now))

    def record(self, key: str, now: float) -> None:
        """Count one event, at a ``now`` that :meth:`wait_seconds` allowed or not."""
        index = int(now // self._slice)
        counts = self._counts.get(key)
        if counts is None:
            _make_room(self._counts, lambda old: old.is_over(index))
            counts = self._counts[key] = _Counts(index)
        else:
            self._counts.move_to_end(key)
            counts.advance(index)
        counts.add()

    def take(self, key: str, now: float) -> bool:
        """Count one event if ``key`` may act now, and say whether it may."""
        if self.wait_seconds(key, now):
            return False
        self.record(key, now)
        return True


def _make_room(keys: OrderedDict[str, T], is_over: Callable[[T], bool]) -> None:
    """Forget what is of no use, for one new key. Those unused the longest come first."""
    # Two for each that comes, so the last of a flood go as quickly as it came, and nobody
    # waits for all of them.
    for _ in range(2):
        oldest = next(iter(keys.values()), None)
        if oldest is not None and (is_over(oldest) or len(keys) >= MAX_RATE_KEYS):
            keys.popitem(last=False)


class _Counts:
    """The events of one key, by slice: a ring, one longer than the window.

    There is none while all are in the latest slice, because most keys come once.
    """

    __slots__ = ("_latest", "_ring", "total")

    def __init__(self, index: int) -> None:
        self.total = 0
        self._latest = index
        self._ring: array[int] | None = None

    def advance(self, index: int) -> None:
        """Forget the slices that a window which ends in slice ``index`` does not reach."""
        steps = index - self._latest
        if steps <= 0:
            return
        if steps > SLICES:
            self.total = 0
            self._ring = None
        elif self.total:
            ring = self._whole_ring()
            for passed in range(self._latest + 1, index + 1):
                place = passed % (SLICES + 1)
                self.total -= ring[place]
                ring[place] = 0
        self._latest = index

    def is_over(self, index: int) -> bool:
        """Say whether a window that ends in slice ``index`` reaches none of the events."""
        return index - self._latest > SLICES

    def add(self) -> None:
        """Count one in the latest slice."""
        if self.total == _MOST:
            return
        self.total += 1
        if self._ring is not None:
            self._ring[self._latest % (SLICES + 1)] += 1

    def ends_when_fewer_than(self, over: int) -> int:
        """Give the slice at whose start more than ``over`` of the events are forgotten."""
        if self._ring is not None:
            for index in range(self._latest - SLICES, self._latest):
                over -= self._ring[index % (SLICES + 1)]
                if over < 0:
                    return index + SLICES + 1
        return self._latest + SLICES + 1

    def _whole_ring(self) -> "array[int]":
        if self._ring is None:
            self._ring = array("I", bytes(4 * (SLICES + 1)))
            self._ring[self._latest % (SLICES + 1)] = self.total
        return self._ring
