"""Query strings, read strictly: each parameter once, integers as ASCII digits."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_QUERY_FIELDS, MAX_QUERY_INTEGER_DIGITS

_INTEGER: Final = re.compile(rf"[0-9]{{1,{MAX_QUERY_INTEGER_DIGITS}}}", re.ASCII)


def parse_query(query: bytes) -> dict[str, str]:
    """Give the parameters by name.

    Raises:
        Rejected: ``bad_query``: not UTF-8, too many, or one of them twice.

    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except ValueError:
        raise Rejected("bad_query") from None
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Rejected("bad_query", "a query parameter may appear once")
    return parameters


def integer(parameters: Mapping[str, str], name: str, default: int, *, code: str) -> int:
    """Read one integer parameter.

    Raises:
        Rejected: with ``code``: it is there and not 1 to 15 ASCII digits.

    """
    text = parameters.get(name)
    if text is None:
        return default
    if _INTEGER.fullmatch(text) is None:
        raise Rejected(code)
    return int(text)
