"""The renderer of a room, which waits until the test lets it go."""

import threading
from collections.abc import Container

from agentgather.server import rendering

_SECONDS = 5
_render = rendering._render


class GatedRenderer:
    """Stands in for ``server.rendering._render``, and notes what it is given.

    The sample with which a server loads its libraries is neither held up nor noted.
    """

    def __init__(self, *, is_open: bool = True) -> None:
        self.texts: list[str] = []
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self, text: str, mentions: Container[str]) -> str:
        if text != rendering._SAMPLE:
            self.texts.append(text)
            assert self.gate.wait(_SECONDS), "nobody opened the gate"
        return _render(text, mentions)
