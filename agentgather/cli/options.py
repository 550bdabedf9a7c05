"""Options and argument types that several commands share."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from agentgather.domain.text import parse_time
from agentgather.wire.limits import MAX_QUERY_INTEGER_DIGITS
from agentgather.wire.names import is_slug

F = TypeVar("F", bound=Callable[..., Any])

_DIGITS: Final = re.compile(rf"[0-9]{{1,{MAX_QUERY_INTEGER_DIGITS}}}", re.ASCII)
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def json_option(command: F) -> F:
    """Add ``--json``: one document on standard output, and nothing else there."""

    def set_json(click_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            click_context.obj.as_json = True

    return click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=set_json,
        help="print JSON and nothing else",
    )(command)


host_option = click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="the address to listen on",
)


def port_option(default: int) -> Callable[[F], F]:
    """Add ``--port``."""
    return click.option(
        "--port",
        type=PORT,
        default=default,
        show_default=True,
        help="the port to listen on; 0 takes a free one",
    )


class Slug(click.ParamType[str]):
    """The name of a room or of a participant."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check a name."""
        if not isinstance(value, str) or not is_slug(value):
            self.fail("a name is 1 to 64 of a-z, 0-9 and -, and does not start with -", param, ctx)
        return value


class Alias(Slug):
    """The name of a participant; ``@rev`` is ``rev``."""

    name = "alias"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check an alias."""
        return super().convert(str(value).removeprefix("@"), param, ctx)


class WholeNumber(click.ParamType[int]):
    """Digits and nothing else; ``int()`` also takes ``1_000``, ``٣`` and spaces."""

    name = "number"

    def __init__(self, least: int, most: int = 10**MAX_QUERY_INTEGER_DIGITS - 1) -> None:
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a number."""
        if isinstance(value, int):
            return value
        if _DIGITS.fullmatch(value) is None or not self._least <= int(value) <= self._most:
            self.fail(f"{value!r} is no number from {self._least} to {self._most}", param, ctx)
        return int(value)


class Duration(click.ParamType[int]):
    """A length of time such as 90s, 30m, 2h or 7d; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a duration."""
        if isinstance(value, int):
            return value
        match = _DURATION.fullmatch(value)
        if match is None or not int(match[1]):
            self.fail("a duration is a number and s, m, h or d, such as 2h", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


class Instant(click.ParamType[int]):
    """A time with a zone, such as 2027-01-31T18:00:00Z; in milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a time."""
        if isinstance(value, int):
            return value
        when = parse_time(value)
        if when is None:
            self.fail("a time needs a zone, such as 2027-01-31T18:00:00Z", param, ctx)
        return when


SLUG: Final = Slug()
ALIAS: Final = Alias()
DURATION: Final = Duration()
INSTANT: Final = Instant()
MESSAGE_ID: Final = WholeNumber(1)
CURSOR: Final = WholeNumber(0)
COUNT: Final = WholeNumber(1)
PORT: Final = WholeNumber(0, 65535)
