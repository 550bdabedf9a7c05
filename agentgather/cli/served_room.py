"""What a command says of a room that it serves."""

from typing import Any, NamedTuple


class ServedRoom(NamedTuple):
    """A room that answers.

    ``url`` is its base URL on this machine, ``tunnel_url`` the public one if a tunnel is
    open, ``urls`` are those of ``--url``. A closed room can be read, and no more.
    """

    room: str
    url: str
    tunnel_url: str | None
    urls: tuple[str, ...]
    is_closed: bool

    @property
    def url_elsewhere(self) -> str | None:
        """The base URL for people elsewhere, the one that invites name; None if there is none."""
        return self.tunnel_url or next(iter(self.urls), None)

    def document(self, **more: str) -> dict[str, Any]:
        """Give what ``--json`` prints, with ``more`` of the command's own."""
        document: dict[str, Any] = {"ok": True, "room": self.room, "url": self.url, **more}
        document["room_status"] = "closed" if self.is_closed else "open"
        if self.tunnel_url is not None:
            document["public_url"] = self.tunnel_url
        if self.urls:
            document["urls"] = list(self.urls)
        return document
