"""The room as commands see it: one method per endpoint, over one of two transports.

Where a server runs, a request goes to it. Where none does and the room lies in this home,
the same request goes to the same application in this process, under the room's lock: the
same rules, the same writer, the same answer.
"""

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit

from agentgather.cli.failures import Misused, Refused, TryLater, Unreachable
from agentgather.edge.origins import LOOPBACK_NAMES, normalise_base_url, parse_authority
from agentgather.storage.home import Home
from agentgather.wire.records import CurrentRoom

REQUEST_SECONDS: Final = 35
"""One request, whole: the longest hold and a slow network."""
MAX_ANSWER_BYTES: Final = 1024 * 1024
MAX_STATUS_BYTES: Final = 8 * 1024 * 1024
"""A roster of 10,000 seats is 4 MB."""
MAX_RETRY_AFTER: Final = 3600

_TRY_LATER: Final = frozenset({408, 429, 503})


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    body: bytes
    retry_after: int


class NotServed(Exception):
    """Nothing listens there: the request was not sent."""


class Unknown(Exception):
    """The request may have been sent, and no answer came."""


class Transport(Protocol):
    """Carries one request."""

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """Send a request to the room, and wait for its whole answer.

        Raises:
            NotServed, Unknown: there is no answer.

        """


class HttpTransport:
    """One connection per request, to the server at a base URL."""

    def __init__(self, base_url: str, *, insecure: bool) -> None:
        try:
            self._base_url = normalise_base_url(base_url)
        except ValueError as error:
            raise Misused(str(error)) from None
        parts = urlsplit(self._base_url)
        authority = parse_authority(parts.netloc)
        assert authority is not None
        if parts.scheme == "http" and authority.name not in LOOPBACK_NAMES and not insecure:
            raise Misused(
                f"{self._base_url} is plain HTTP to another machine, and the token would be "
                "readable on the way; use https, an SSH tunnel, or --insecure"
            )
        self._is_tls = parts.scheme == "https"
        self._host = authority.name.strip("[]")
        self._port = authority.port
        self._prefix = parts.path

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """See :class:`Transport`. A redirect is an answer like any other, never followed."""
        deadline = time.monotonic() + REQUEST_SECONDS
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=REQUEST_SECONDS)
        try:
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                raise NotServed(f"its certificate is not valid: {error.verify_message}") from None
            except OSError as error:
                raise NotServed(error.strerror or "no answer") from None
            connection.request(method, self._prefix + target, body, dict(headers))
            response = connection.getresponse()
            limit = MAX_STATUS_BYTES if target.startswith("/status") else MAX_ANSWER_BYTES
            return Reply(response.status, _read(response, limit, deadline), _retry_after(response))
        except (OSError, http.client.HTTPException) as error:
            raise Unknown(str(error) or type(error).__name__) from None
        finally:
            connection.close()


def _read(response: http.client.HTTPResponse, limit: int, deadline: float) -> bytes:
    data = bytearray()
    while chunk := response.read1(64 * 1024):
        data += chunk
        if len(data) > limit:
            raise Unknown("the answer has no end")
        if time.monotonic() > deadline:
            raise Unknown("the answer takes too long")
    return bytes(data)


def _retry_after(response: http.client.HTTPResponse) -> int:
    text = response.getheader("Retry-After", "")
    return min(int(text), MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else 1


class RoomApi:
    """The endpoints. Each raises Refused, TryLater or Unreachable, with what to do next."""

    def __init__(self, transport: Transport, token: str) -> None:
        self._transport = transport
        self._token = token

    def status(self) -> dict[str, Any]:
        """GET /status."""
        return self._json("GET", "/status")

    def brief(self) -> dict[str, Any]:
        """GET /brief."""
        return self._json("GET", "/brief")

    def set_brief(self, body: str) -> dict[str, Any]:
        """POST /brief."""
        return self._json("POST", "/brief", {"body": body})

    def set_attendance(self, policy: str) -> dict[str, Any]:
        """POST /attendance."""
        return self._json("POST", "/attendance", {"policy": policy})

    def join(self) -> dict[str, Any]:
        """POST /join."""
        return self._json("POST", "/join", {})

    def leave(self) -> dict[str, Any]:
        """POST /leave."""
        return self._json("POST", "/leave", {})

    def close(self) -> dict[str, Any]:
        """POST /close."""
        return self._json("POST", "/close", {})

    def rearm(self) -> dict[str, Any]:
        """POST /loop-guard."""
        return self._json("POST", "/loop-guard", {})

    def invite(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """POST /participants."""
        return self._json("POST", "/participants", draft)

    def remove(self, alias: str) -> dict[str, Any]:
        """POST /participants/<alias>/remove."""
        return self._json("POST", f"/participants/{alias}/remove", {})

    def rotate(self, alias: str) -> dict[str, Any]:
        """POST /participants/<alias>/rotate."""
        return self._json("POST", f"/participants/{alias}/rotate", {})

    def post(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """POST /messages. ``draft`` has a ``client_msg_id``, so it may be sent again."""
        return self._json("POST", "/messages", draft)

    def messages(self, since_id: int, limit: int | None = None) -> dict[str, Any]:
        """GET /messages, one page."""
        query: dict[str, object] = {"since_id": since_id}
        if limit is not None:
            query["limit"] = limit
        return self._json("GET", f"/messages?{urlencode(query)}")

    def wait(self, since_id: int, *, for_me: bool = False) -> dict[str, Any]:
        """GET /wait, held by the server until there is news."""
        query = {"since_id": since_id} | ({"for": "me"} if for_me else {})
        return self._json("GET", f"/wait?{urlencode(query)}")

    def card(self) -> str:
        """GET /card."""
        return self._checked("GET", "/card", None).body.decode("utf-8", "replace")

    def _json(
        self, method: str, target: str, document: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = None if document is None else json.dumps(document, ensure_ascii=False).encode()
        return _parse(self._checked(method, target, body))

    def _checked(self, method: str, target: str, body: bytes | None) -> Reply:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            reply = self._transport.exchange(method, target, headers, body)
        except NotServed as error:
            raise Unreachable(f"the room's server cannot be reached: {error}") from None
        except Unknown as error:
            raise Unreachable(f"the room's server did not answer: {error}") from None
        if 200 <= reply.status < 300:
            return reply
        refusal = _parse(reply)
        message, code = str(refusal.get("message", "")), str(refusal.get("error", ""))
        if reply.status in _TRY_LATER:
            raise TryLater(
                f"{message} (try again in {reply.retry_after} s)", reply.retry_after, code
            )
        if reply.status >= 500 and code not in ("room_log_full", "storage_full"):
            raise Unreachable(f"the room's server failed: {message}")
        raise Refused(message, code)


def _parse(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or "ok" not in document:
        raise Unreachable(
            f"what answers there is no agentgather room (HTTP {reply.status}); check the URL"
        )
    return document


class AnyTransport:
    """The server if there is one, else the room's own files, decided request by request."""

    def __init__(self, server: Transport, files: Transport | None) -> None:
        self._server = server
        self._files = files

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """See :class:`Transport`."""
        try:
            return self._server.exchange(method, target, headers, body)
        except NotServed:
            if self._files is None:
                raise
            return self._files.exchange(method, target, headers, body)


def open_api(home: Home, seat: CurrentRoom, *, insecure: bool, offline: bool = True) -> RoomApi:
    """Give the room of a seat. With ``offline`` its files serve where no server does."""
    files: Transport | None = None
    if offline and home.has_room(seat.roomId):
        # Trio and the server cost 300 ms of import, and are needed only without a server.
        from agentgather.cli.room_files import FilesTransport

        files = FilesTransport(home, seat.roomId, seat.baseUrl)
    server = HttpTransport(seat.baseUrl, insecure=insecure)
    return RoomApi(AnyTransport(server, files), seat.token)
