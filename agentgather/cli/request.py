"""One request to a room, as every transport carries it."""

from collections.abc import Mapping
from typing import Final

MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_LONG_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A roster of 10,000 seats is 4 MB; an older server gives the whole log as one page."""


class Request:
    """One request to a room. ``host`` names another place than the base URL in ``Host``."""

    def __init__(
        self,
        method: str,
        target: str,
        token: str,
        body: bytes | None = None,
        *,
        host: str | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.body = body
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body is not None:
            self.headers["Content-Type"] = "application/json"
        if host is not None:
            self.headers["Host"] = host

    @property
    def max_answer_bytes(self) -> int:
        """How long an answer may be."""
        is_long = self.target.startswith(("/status", "/messages"))
        return MAX_LONG_ANSWER_BYTES if is_long else MAX_ANSWER_BYTES


def headers_of(request: Request, host: str) -> Mapping[str, str]:
    """Give all headers as a server at ``host`` would receive them, names in lower case."""
    headers = {"host": host, **{k.lower(): v for k, v in request.headers.items()}}
    if request.body is not None:
        headers["content-length"] = str(len(request.body))
    return headers
