"""What a streamed answer costs whoever passes it on."""

from collections.abc import Callable
from typing import Final

from tests.bench.figures import Figure
from tests.bench.processes import cpu_seconds

STREAM_MIB: Final = 200
STREAMS: Final = 3


def streamed(
    take: Callable[[str], tuple[float, float]], slug: str, pids: dict[str, int]
) -> tuple[list[float], list[Figure]]:
    """Have a host of ``hosts`` stream answers; give each one's MB/s, and the least CPU for a MB.

    ``take`` gets a path, and gives the bytes that came and the seconds that it took.
    """
    rates, costs = [], dict.fromkeys(pids, float("inf"))
    for _ in range(STREAMS):
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        size, seconds = take(f"/{slug}/stream?{STREAM_MIB}")
        assert size > STREAM_MIB << 20, "the stream broke off"
        rates.append(size / seconds / 1e6)
        for name, pid in pids.items():
            used = 1000 * (cpu_seconds(pid) - before[name]) / (size / 1e6)
            costs[name] = min(costs[name], used)
    return rates, [Figure(f"CPU of {name} for a MB", cost, "ms") for name, cost in costs.items()]
