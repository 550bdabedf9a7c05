"""A reverse proxy that can be broken: cut, stalled, buffering, or with nobody behind it.

One request per connection, so that what is passed on can be told by its head.
"""

import json
import re
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CHUNK: Final = 65_536
HEAD_END: Final = b"\r\n\r\n"
_CONNECTION: Final = re.compile(rb"\r\n(?:connection|keep-alive):[^\r]*", re.I)


class Proxy:
    """Serve ``url`` and pass everything on to a port of this machine, until :meth:`close`.

    ``prefix`` is the path that it is reached under, such as ``/team/demo``. It stays on what
    is passed on, unless ``strips_prefix``: proxies are set up both ways.
    """

    def __init__(self, target_port: int, *, prefix: str = "", strips_prefix: bool = False) -> None:
        self.target_port = target_port
        self.prefix = prefix
        self.strips_prefix = strips_prefix
        self.buffers_events = False
        self.has_events = True
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = False
        self._answer = b""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    # --- What may happen on the way -----------------------------------------------------

    def cut(self) -> None:
        """Break every connection, and each new one at once: the tunnel is lost."""
        self._is_cut = True
        self._break_all()

    def stall(self) -> None:
        """Take everything and pass nothing on: a sleeping laptop, a lost mobile network."""
        self._flows.clear()

    def host_away(
        self, status: int = 503, code: str = "host_unavailable", *, retry_after: int | None = None
    ) -> None:
        """Break every connection and answer each request as a broker without a host does."""
        self._answer = _refusal(status, code, retry_after)
        self._is_cut = False
        self._break_all()

    def buffer_events(self) -> None:
        """Keep event streams back until they end, as some proxies do; those open are cut."""
        self.buffers_events = True
        self._break_all()

    def refuse_events(self) -> None:
        """Answer for an event stream as an older broker does; those open are cut."""
        self.has_events = False
        self._break_all()

    def mend(self) -> None:
        """Pass everything on again, and what was kept back by a stall."""
        self._is_cut = False
        self._answer = b""
        self.buffers_events = False
        self.has_events = True
        self._flows.set()

    def close(self) -> None:
        """Stop serving, and wait for the connections to end."""
        self._is_cut = True
        self._flows.set()
        self._server.shutdown()
        self._break_all()
        self._server.server_close()
        self._thread.join()

    # --- One connection, in a thread of its own -----------------------------------------

    def serve(self, client: socket.socket) -> None:
        """Answer or pass on the one request of a connection."""
        with self._breakable(client):
            head, rest = _read_head(client)
            if self._is_cut or not head:
                return
            if self._answer:
                client.sendall(self._answer)
                return
            if not self.has_events and b"/events?" in head.partition(b"\r\n")[0]:
                client.sendall(_refusal(404, "unsupported_route"))
                return
            self._flows.wait()
            try:
                room = socket.create_connection(("127.0.0.1", self.target_port))
            except ConnectionRefusedError:
                client.sendall(
                    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                return
            with room, self._breakable(room):
                room.sendall(self._forwarded(head) + rest)
                path = head.split(b" ", 2)[1].partition(b"?")[0]
                self._relay(client, room, keep=self.buffers_events and path.endswith(b"/events"))

    def _forwarded(self, head: bytes) -> bytes:
        line, separator, fields = head.partition(b"\r\n")
        if self.strips_prefix:
            line = line.replace(b" " + self.prefix.encode(), b" ", 1)
        return line + b"\r\nConnection: close" + _CONNECTION.sub(b"", separator + fields)

    def _relay(self, client: socket.socket, room: socket.socket, *, keep: bool) -> None:
        kept = b""
        while True:
            ready, _, _ = select.select([client, room], [], [])
            for source in ready:
                data = source.recv(CHUNK)
                self._flows.wait()
                if not data:
                    client.sendall(kept)
                    return
                if source is client:
                    room.sendall(data)
                elif keep:
                    kept += data
                else:
                    client.sendall(data)

    @contextmanager
    def _breakable(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def _break_all(self) -> None:
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # Its other end was quicker.
                    continue


def _refusal(status: int, code: str, retry_after: int | None = None) -> bytes:
    body = json.dumps({"ok": False, "error": code, "message": "Says the proxy."}).encode()
    later = b"" if retry_after is None else b"Retry-After: %d\r\n" % retry_after
    return (
        b"HTTP/1.1 %d Refused\r\nContent-Type: application/json; charset=utf-8\r\n"
        b"Content-Length: %d\r\n%bConnection: close\r\n\r\n%b" % (status, len(body), later, body)
    )


def _read_head(client: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while HEAD_END not in data:
        more = client.recv(CHUNK)
        if not more:
            return b"", b""
        data += more
    head, end, rest = data.partition(HEAD_END)
    return head + end, rest


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 64

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            self.server.proxy.serve(self.request)
        except OSError:
            # Whoever it was left in the middle, or the test cut it.
            return
