"""A server on a real port that plays back what a test gives it, and keeps what it was sent."""

import json
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Answer = bytes | Callable[[socket.socket], None] | None
"""Bytes to send, a function that is given the connection, or None: close without a word."""


def json_answer(document: object, status: str = "200 OK", more: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body


def refusal(status: str, code: str, more: str = "") -> bytes:
    return json_answer({"ok": False, "error": code, "message": f"it says {code}"}, status, more)


class StubServer:
    """Answers each request with the next of ``answers``; the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [None]
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Closing a socket wakes nobody who waits on it; shutting it down does.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def bodies(self) -> list[Any]:
        """The JSON bodies of the requests that had one."""
        parts = [request.partition(b"\r\n\r\n")[2] for request in self.requests]
        return [json.loads(part) for part in parts if part]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        data = connection.recv(65536)
        if data[:1] == b"\x16":
            # The first byte of TLS, which is no request.
            data = b"\r\n\r\n"
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536) or b"\r\n\r\n"
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer(connection)
        elif answer is not None:
            connection.sendall(answer)
