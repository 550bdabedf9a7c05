"""The URL that a broker says a room has. It goes into commands that people paste."""

from urllib.parse import urlsplit

from agentgather.edge.origins import LOOPBACK_NAMES, normalise_base_url, parse_authority


class BadPublicUrl(Exception):
    """A broker named a URL that no room can have. The text is for people."""


def check_public_url(url: str, slug: str) -> str:
    """Give the URL in normal form.

    Raises:
        BadPublicUrl: it is none, it is plain HTTP to elsewhere, or it is not this room's.

    """
    try:
        normal = normalise_base_url(url)
    except ValueError:
        raise BadPublicUrl("the broker names a public URL that is none") from None
    parts = urlsplit(normal)
    authority = parse_authority(parts.netloc)
    is_loopback = authority is not None and authority.name in LOOPBACK_NAMES
    if parts.scheme != "https" and not is_loopback:
        raise BadPublicUrl("the broker's public URL is plain HTTP, and tokens would be in the open")
    if parts.path.rpartition("/")[2] != slug:
        raise BadPublicUrl("the broker names the public URL of another room")
    return normal
