"""What comes of trying a clause: it is kept, broken, or could not be tried."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any


class Broken(Exception):
    """The server does not keep the clause. The text says what it did instead."""


class NotChecked(Exception):
    """The clause cannot be tried on this server, or from here. The text says why."""


def same(what: str, found: object, expected: object) -> None:
    """Compare what a server said with what the contract says.

    Raises:
        Broken: they differ; ``True`` is not ``1``.

    """
    if found != expected or type(found) is not type(expected):
        raise Broken(f"{what} is {shown(found)}, not {shown(expected)}")


def in_order(what: str, found: Iterable[str], expected: tuple[str, ...]) -> None:
    """Hold keys to an order. Others may stand among them: the contract grows.

    Raises:
        Broken: one is missing, or in another place.

    """
    same(what, tuple(key for key in found if key in expected), expected)


def says(document: Mapping[str, object], /, **expected: object) -> None:
    """Compare some keys of a document with what they should be.

    Raises:
        Broken: one differs or is missing.

    """
    for key, value in expected.items():
        if key not in document:
            raise Broken(f"there is no {key}")
        same(key, document[key], value)


def among(what: str, found: object, allowed: Collection[Any]) -> None:
    """Hold what a server said to a few values.

    Raises:
        Broken: it is none of them.

    """
    if found not in allowed:
        raise Broken(f"{what} is {shown(found)}, none of {', '.join(map(shown, sorted(allowed)))}")


def holds(true: bool, otherwise: str) -> None:
    """Go on where it is so.

    Raises:
        Broken: it is not; ``otherwise`` says what is.

    """
    if not true:
        raise Broken(otherwise)


def shown(value: object) -> str:
    """Give a value as it is named in a line, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    text = repr(text) if isinstance(value, str) else text
    return text if len(text) <= 120 else f"{text[:117]}…"
