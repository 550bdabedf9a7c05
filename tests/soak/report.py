"""A soak's figures as a table, and what of them is held to a bound."""

import os
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from tests.soak.looks import Look
from tests.soak.opening import TIMED
from tests.soak.scenario import Soak
from tests.soak.trouble import DEEDS
from tests.soak.vitals import Vitals

MOST_RATIO: Final = 2.0
"""Of a troubled p99 to a quiet one, in the rooms that have no trouble of their own."""
BROKER_GROWTH_KIB: Final = 5 * 1024
"""What a broker may grow by after its first minutes: its tables of rates fill, and the
allocator keeps what a flood has taken once."""
HOST_GROWTH_KIB: Final = 6 * 1024
MESSAGE_KIB: Final = 2
"""What a message may take of its host's memory, which is where a log is."""

Figures = list[tuple[str, str]]


def ratio(soak: Soak) -> float:
    """Say how much slower the slowest hundredth is in trouble, by the medians of all cycles."""
    quiet, troubled = (
        statistics.median(part.timing.p99_ms for part in parts)
        for parts in (soak.quiet, soak.troubled)
    )
    return troubled / quiet


def growth_faults(soak: Soak) -> list[str]:
    """Say of which process the memory has grown by more than it may."""
    first, last = _first(soak), soak.looks[-1]
    found = []
    grown = last.broker.resident_kib - first.broker.resident_kib
    if grown > BROKER_GROWTH_KIB:
        found.append(f"the broker has grown by {grown} KiB")
    for number, (before, after) in enumerate(zip(first.hosts, last.hosts, strict=True)):
        messages = last.messages[number] - first.messages[number]
        grown = after.resident_kib - before.resident_kib
        if grown > HOST_GROWTH_KIB + MESSAGE_KIB * messages:
            found.append(f"host {number} has grown by {grown} KiB with {messages} messages")
    return found


def figures(soak: Soak) -> Figures:
    """Give what was found, line by line."""
    return [*_course(soak), *_times(soak), *_sizes(soak)]


def _course(soak: Soak) -> Iterator[tuple[str, str]]:
    oracles = [room.people.oracle for room in soak.rooms]
    failures = [failure for room in soak.rooms for failure in room.people.failures]
    outages = [ended - began for room in soak.rooms for began, ended in room.outages]
    yield "machine", f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    yield (
        "rooms, cycles, seconds",
        f"{len(soak.rooms)}, {len(soak.troubled)}, {soak.looks[-1].seconds:.0f}",
    )
    posts = sum(len(one.history.posts) for one in oracles)
    repeated = sum(one.repeated_posts for one in oracles)
    known = sum(one.idempotent for one in oracles)
    yield (
        "posts acknowledged by writers",
        f"{posts:,}; {repeated:,} times repeated, {known:,} of those were stored before",
    )
    read = sum(len(one.history.seen(who)) for one in oracles for who in one.history.answers)
    yield "messages in the logs, and read off them", f"{sum(soak.looks[-1].messages):,}, {read:,}"
    yield "comings and goings", f"{sum(room.people.visits for room in soak.rooms):,}"
    yield (
        "tunnels dropped",
        f"{len(outages)}; back after {statistics.median(outages or [0]):.2f} s (median), "
        f"{max(outages or [0]):.2f} s (worst)",
    )
    unexplained = sum(len(room.unexplained()) for room in soak.rooms)
    yield (
        "requests that failed",
        f"{len(failures):,} while their tunnel was down or in the room with harm; "
        f"unexplained: {unexplained}",
    )
    yield "a participant meant harm", _counts(soak, lambda what: ":" not in what)
    for deed in DEEDS:
        yield f"a host did its worst: {deed}", _counts(soak, partial(_is_of, deed))
    yield "lost, twice, out of order, or not calm again", str(len(soak.faults) - unexplained)


def _counts(soak: Soak, is_meant: Callable[[str], bool]) -> str:
    counts = sorted((what, count) for what, count in soak.harm.items() if is_meant(what))
    return ", ".join(f"{count:,} {what.rpartition(': ')[2]}" for what, count in counts)


def _is_of(deed: str, what: str) -> bool:
    return what.startswith(f"{deed}: ")


def _times(soak: Soak) -> Iterator[tuple[str, str]]:
    for name, parts in (("quiet", soak.quiet), ("in trouble", soak.troubled)):
        p50, p99, worst = (
            statistics.median(part.timing[index] for part in parts) for index in range(3)
        )
        ran, waited = (statistics.median(part[index] for part in parts) for index in (1, 2))
        yield (
            f"{TIMED} other rooms, {name}",
            f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, worst {worst:.0f} ms; "
            f"the broker ran for {ran:.0%} and waited for a core for {waited:.0%} of the time",
        )
    yield "p99 in trouble to p99 quiet", f"{ratio(soak):.2f}; at most {MOST_RATIO:.0f} is asked"


def _sizes(soak: Soak) -> Iterator[tuple[str, str]]:
    first, last = _first(soak), soak.looks[-1]
    course = ", ".join(f"{look.broker.resident_kib / 1024:.1f}" for look in soak.looks)
    yield "the broker's MiB at each calm look", course
    hours = (last.seconds - first.seconds) / 3600
    yield "the broker", _change(first.broker, last.broker, hours)
    grown = [
        (after.resident_kib - before.resident_kib, number)
        for number, (before, after) in enumerate(zip(first.hosts, last.hosts, strict=True))
    ]
    _, most = max(grown)
    messages = last.messages[most] - first.messages[most]
    yield (
        f"the host that grew most, by {messages:,} messages",
        _change(first.hosts[most], last.hosts[most], hours),
    )
    total = sum(size for size, _ in grown)
    yield "all hosts together", f"{total / 1024:+.1f} MiB in {hours * 60:.0f} minutes"


def _change(before: Vitals, after: Vitals, hours: float) -> str:
    sizes = before.resident_kib / 1024, after.resident_kib / 1024
    slope = f" ({(sizes[1] - sizes[0]) / hours:+.1f} MiB/h)" if hours else ""
    return (
        f"{sizes[0]:.1f} MiB became {sizes[1]:.1f}{slope}; descriptors {before.descriptors} "
        f"and {after.descriptors}, tasks {before.tasks} and {after.tasks}, "
        f"threads {before.threads} and {after.threads}"
    )


def _first(soak: Soak) -> Look:
    """Give the look that later ones are compared with: a third of the way in, after the caches
    have filled, or the first where there are few."""
    return soak.looks[len(soak.looks) // 3]
