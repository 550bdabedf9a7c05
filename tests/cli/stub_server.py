"""A server that says what a test wants it to say, byte for byte."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[socket.socket, bytes], None]
"""Is given a connection and the request that came on it. Returning closes it."""


class StubServer:
    """Plays one script per connection, the last one again and again."""

    def __init__(self, scripts: tuple[Script, ...], family: socket.AddressFamily) -> None:
        self.requests: list[bytes] = []
        self._scripts = list(scripts)
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(5)
                request = read_request(connection)
                self.requests.append(request)
                script = self._scripts[0]
                if len(self._scripts) > 1:
                    self._scripts.pop(0)
                script(connection, request)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    # A TLS client says its hello, and waits.
    while b"\r\n\r\n" not in data and not data.startswith(b"\x16"):
        chunk = connection.recv(65536)
        if not chunk:
            return data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def stub_server(
    *scripts: Script, family: socket.AddressFamily = socket.AF_INET
) -> Iterator[StubServer]:
    server = StubServer(scripts, family)
    try:
        yield server
    finally:
        server.close()


def says(status: str, body: bytes = b"", *headers: str) -> Script:
    """Answer with a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return sends("\r\n".join(lines).encode() + body)


def sends(data: bytes) -> Script:
    """Answer with these bytes."""

    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(data)

    return script


def hangs_up(_connection: socket.socket, _request: bytes) -> None:
    """Close without a word."""
