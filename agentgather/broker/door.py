"""Where a broker is served, who asks there, and what may be told of a route to anybody."""

from collections.abc import Mapping
from typing import Any

from agentgather.broker.route import Route
from agentgather.edge.answers import Answer, json_answer
from agentgather.edge.clients import ClientAddresses
from agentgather.edge.origins import Served
from agentgather.edge.queries import parse_query
from agentgather.wire.api import RouteAnswer, encode
from agentgather.wire.errors import Rejected


class Door:
    """The places in ``served``, and the proxies in front of them."""

    def __init__(self, served: Served, clients: ClientAddresses) -> None:
        self._served = served
        self._clients = clients

    def path(self, scope: Mapping[str, Any]) -> str:
        """Give the path below the public URL's, undecoded."""
        return self._served.strip_prefix(scope["raw_path"].decode("latin-1"))

    def check(self, headers: Mapping[bytes, bytes], *, page: bool) -> None:
        """Refuse what was sent to another Host, or by a page of another origin.

        ``page`` is true where no data is: a person may follow a link there from anywhere.

        Raises:
            Rejected: ``insecure_remote``, ``bad_origin``.

        """
        host = headers.get(b"host")
        base_url = self._served.base_for(host.decode("latin-1") if host is not None else None)
        self._served.check_origin(headers, base_url, page=page)

    def client(self, scope: Mapping[str, Any]) -> str:
        """Give whom a request counts for."""
        return self._clients.of(scope.get("client"), scope["headers"])


def credential_of(headers: Mapping[bytes, bytes], query: bytes, path: bytes) -> bytes | None:
    """Give what the host will judge: the token, also where it is in a card's link.

    Raises:
        Rejected: ``bad_query``.

    """
    authorization = headers.get(b"authorization")
    if authorization is not None or path != b"/card":
        return authorization
    token = parse_query(query).get("token")
    return f"Bearer {token}".encode() if token else None


def route_answer(route: Route, method: str) -> Answer:
    """Answer for a route itself: that it is there, and whether its host is.

    Raises:
        Rejected: ``method_not_allowed``.

    """
    if method not in ("GET", "HEAD"):
        raise Rejected("method_not_allowed", headers=((b"allow", b"GET, HEAD"),))
    document = RouteAnswer(
        route_slug=route.slug, status=route.status.value, host_connected=route.host is not None
    )
    return json_answer(200, encode(document))
