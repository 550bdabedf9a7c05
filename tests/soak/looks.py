"""All processes of a soak at one calm moment, and what of it must not change."""

from typing import NamedTuple

from tests.soak.vitals import Vitals


class Look(NamedTuple):
    """What there was. ``messages`` are those in the logs by then."""

    seconds: float
    broker: Vitals
    hosts: list[Vitals]
    messages: list[int]

    @property
    def kept(self) -> list[tuple[int, int]]:
        """Give what has to be the same at all calm moments: the broker's, then each host's."""
        return [one.kept for one in (self.broker, *self.hosts)]


def difference(first: Look, last: Look, counts: list[int], held: int) -> str:
    """Say what is not as it was. ``counts`` are the broker's links, waits and streams."""
    names = ["broker", *(f"host {number}" for number in range(len(first.hosts)))]
    pairs = zip(names, first.kept, last.kept, strict=True)
    other = [f"{name}: {before} became {after}" for name, before, after in pairs if before != after]
    return (
        f"not as calm as at first after {last.seconds:.0f} s: links, waits and streams {counts} "
        f"for {[len(first.hosts), held, held]}; descriptors and tasks of {other}"
    )
