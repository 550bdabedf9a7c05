"""What can be measured, by name."""

from argparse import ArgumentTypeError
from typing import Final, NamedTuple, Protocol

from tests.bench.built import measure_built_program
from tests.bench.command_line import measure_cli
from tests.bench.cpu import measure_cpu
from tests.bench.figures import Rows
from tests.bench.floods import measure_hostile_hosts
from tests.bench.front import measure_front
from tests.bench.growth import measure_log, measure_roster
from tests.bench.many_hosts import measure_hosts
from tests.bench.page import measure_page
from tests.bench.room import (
    measure_posts,
    measure_reads,
    measure_shutdown,
    measure_waits,
)
from tests.bench.tunnel import measure_public_way


class Measure(Protocol):
    def __call__(self, *, quick: bool) -> Rows: ...


class Part(NamedTuple):
    title: str
    measure: Measure


PARTS: Final = {
    "posts": Part("Posts, and the disk that they wait for", measure_posts),
    "waits": Part("Held waits", measure_waits),
    "reads": Part("Answers, and the HTTP server alone", measure_reads),
    "log": Part("As the log grows", measure_log),
    "roster": Part("As the roster grows", measure_roster),
    "cpu": Part("The server's CPU", measure_cpu),
    "shutdown": Part("The end", measure_shutdown),
    "cli": Part("The command line", measure_cli),
    "page": Part("The page in Chromium", measure_page),
    "tunnel": Part("Through a broker", measure_public_way),
    "hosts": Part("A broker with many hosts", measure_hosts),
    "hostile": Part("Beside a host that does its worst", measure_hostile_hosts),
    "front": Part("Through Caddy, with TLS", measure_front),
    "built": Part("The program to download", measure_built_program),
}
"""In the order of the table."""


def known_part(name: str) -> str:
    """Give the name back.

    Raises:
        ArgumentTypeError: there is no such part, as argparse is to say.

    """
    if name not in PARTS:
        raise ArgumentTypeError(f"no part {name!r}; there are {' '.join(PARTS)}")
    return name
