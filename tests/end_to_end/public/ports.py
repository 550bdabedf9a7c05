"""A port for a program that has to be told one."""

import socket
from types import TracebackType


class ReservedPort:
    """A port of 127.0.0.1 that the kernel gives to nobody but who asks for it by number.

    It is bound and not listened on: whoever sets SO_REUSEADDR may listen there, as servers
    do, and again after a restart.
    """

    def __init__(self) -> None:
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.number: int = self._holder.getsockname()[1]

    def __enter__(self) -> int:
        return self.number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._holder.close()
