"""Sliding-window limits. Pure: the time is passed in."""

from collections import OrderedDict, deque
from math import ceil

from agentgather.wire.limits import MAX_RATE_KEYS, RATE_WINDOW_SECONDS


class SlidingWindow:
    """At most ``limit`` events of one key in any ``RATE_WINDOW_SECONDS``.

    It remembers the time of each event, so that there is no burst of twice the limit at
    a window's edge. Bounded: ``MAX_RATE_KEYS`` keys of ``limit`` times each; beyond that
    the key that was unused the longest is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

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
            events = self._events[key] = deque(maxlen=self._limit)
            if len(self._events) > MAX_RATE_KEYS:
                self._events.popitem(last=False)
        else:
            self._events.move_to_end(key)
        events.append(now)
