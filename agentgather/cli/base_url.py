"""Where a room is, checked so that a token may be sent there."""

from urllib.parse import urlsplit

from agentgather.cli.failures import Misused
from agentgather.edge.origins import (
    DEFAULT_PORTS,
    LOOPBACK_NAMES,
    normalise_base_url,
    parse_authority,
)


class BaseUrl:
    """A room's base URL and its parts. ``text`` is its normal form.

    Raises:
        Misused: it is no base URL, or plain HTTP to another machine.

    """

    def __init__(self, text: str, *, insecure: bool) -> None:
        try:
            self.text = normalise_base_url(text)
        except ValueError as error:
            raise Misused(str(error)) from None
        parts = urlsplit(self.text)
        authority = parse_authority(parts.netloc)
        assert authority is not None
        self.is_tls = parts.scheme == "https"
        self.is_loopback = authority.name in LOOPBACK_NAMES
        if not (self.is_tls or self.is_loopback or insecure):
            raise Misused(
                f"{self.text} is plain HTTP to another machine, and the token could be read on "
                "the way; use https or an SSH tunnel, or say --insecure"
            )
        self.netloc = parts.netloc
        self.host = authority.name.strip("[]")
        self.port = authority.port or DEFAULT_PORTS[parts.scheme]
        self.prefix = parts.path
