"""When each participant was in the room: held waits and streams, as stretches of time.

    hold --- release   hold -- release        hold ------- …
    |_______ one span, the gap is short ___|  |__ open _____

Kept in memory like all presence, and bounded: the last ``MAX_SPANS`` of each seat.
"""

from collections import deque
from typing import NamedTuple

from agentgather.domain.text import Moment
from agentgather.wire.limits import MAX_SPANS, STALE_AFTER_MS


class Span(NamedTuple):
    """One stretch. ``end`` is None while it goes on."""

    start: Moment
    end: Moment | None


class Spans:
    """The spans of all, by alias."""

    def __init__(self) -> None:
        self._by_alias: dict[str, deque[Span]] = {}

    def begin(self, alias: str, moment: Moment) -> None:
        """Open a span; what ended less than ``STALE_AFTER_MS`` ago goes on."""
        spans = self._by_alias.setdefault(alias, deque(maxlen=MAX_SPANS))
        if spans:
            last = spans[-1]
            if last.end is None or (moment.monotonic - last.end.monotonic) * 1000 < STALE_AFTER_MS:
                spans[-1] = Span(last.start, None)
                return
        spans.append(Span(moment, None))

    def end(self, alias: str, moment: Moment) -> None:
        """Close the open span."""
        spans = self._by_alias[alias]
        spans[-1] = Span(spans[-1].start, moment)

    def latest(self, count: int) -> list[tuple[str, list[Span]]]:
        """Give the spans of the ``count`` aliases that were here last, those first."""

        def end_of(item: tuple[str, deque[Span]]) -> tuple[float, str]:
            end = item[1][-1].end
            return (-end.monotonic if end is not None else float("-inf"), item[0])

        latest = sorted(self._by_alias.items(), key=end_of)[:count]
        return [(alias, list(spans)) for alias, spans in latest]
