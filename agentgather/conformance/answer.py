"""One answer of a server, as it came."""

import json
import re
from typing import Any, Final, NamedTuple

from agentgather.conformance.verdict import Broken, same, shown
from agentgather.wire.errors import CODES

_SECONDS: Final = re.compile(r"[0-9]{1,9}")
JSON_TYPE: Final = "application/json; charset=utf-8"

Document = dict[str, Any]


class Answer(NamedTuple):
    """Names of ``fields`` are in lower case. ``seconds`` is from the question to its end."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float

    def has(self, name: str) -> bool:
        """Say whether a header is there."""
        return any(key == name for key, _ in self.fields)

    def field(self, name: str) -> str:
        """Give the value of a header that comes once; empty where it is missing.

        Raises:
            Broken: it comes twice.

        """
        values = [value for key, value in self.fields if key == name]
        if len(values) > 1:
            raise Broken(f"the header {name} comes {len(values)} times")
        return values[0] if values else ""

    @property
    def retry_after(self) -> int | None:
        """When to come again, in seconds; None where it is no number of nine digits at most."""
        text = self.field("retry-after")
        return int(text) if _SECONDS.fullmatch(text) else None

    def document(self, status: int = 200) -> Document:
        """Give the document of an answer of this status.

        Raises:
            Broken: the status is another, or the body is no JSON object.

        """
        if self.status != status:
            raise Broken(f"the answer is {self.told()}, not {status}")
        found = self._parsed()
        if found is None:
            raise Broken(f"the body is no JSON object: {shown(self.body)}")
        return found

    def refuses(self, *codes: str) -> None:
        """Hold the answer to a refusal with one of these codes, in the one shape.

        Raises:
            Broken: it is none.

        """
        wanted = " or ".join(f"{CODES[code].status} {code}" for code in codes)
        found = self._parsed() or {}
        code = found.get("error")
        if code not in codes or self.status != CODES[code].status:
            raise Broken(f"the answer is {self.told()}, not {wanted}")
        same("ok of a refusal", found.get("ok"), False)
        if not isinstance(found.get("message"), str):
            raise Broken("a refusal has no message")

    @property
    def is_ours(self) -> bool:
        """Whether a room or a broker gave it, and nothing that stands in front of one."""
        found = self._parsed()
        return found is not None and "ok" in found

    def told(self) -> str:
        """Name status and code."""
        code = (self._parsed() or {}).get("error")
        return f"{self.status} {code}" if isinstance(code, str) else str(self.status)

    def _parsed(self) -> Document | None:
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None
