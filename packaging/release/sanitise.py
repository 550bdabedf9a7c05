"""Make a log that can be shown to anybody from the log of a real room.

    python packaging/release/sanitise.py ROOM_FOLDER [--name NAME ...] > log.jsonl

Tokens, addresses, paths, host names and people's names are replaced, the same one by the same
word everywhere; times keep their distances and begin at a day of nobody's. What is said
stays: read the result before you show it. ``--name`` adds a word that is to go, such as that of
a project. The same rules tell afterwards whether anything is left (:func:`leaks`).
"""

import argparse
import getpass
import json
import re
import socket
import sys
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOM: Final = "dogfood"
_BEGIN: Final = datetime.fromisoformat("2026-01-01T09:00:00.000+00:00")
_HOST: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+"
_PART: Final = r"\.?[\w@+-]+(?:\.[\w@+-]+)*"
_BEFORE: Final = r"(?<![\w./~:<-])"
_TOP: Final = (
    r"(?:com|org|net|io|dev|app|ai|de|eu|uk|local|lan|home|internal|corp|intranet|cloud|ts)"
)

# In this order: an address may be in a URL, a path may look like a part of one.
KINDS: Final = {
    "token": re.compile(r"\b(?:ag[phr]|tgl)_[A-Za-z0-9_-]{8,}|(?<=token=)[^\s&\"'`)\]]+"),
    "e-mail": re.compile(rf"\b[\w.+-]+@{_HOST}[A-Za-z]{{2,}}\b"),
    "URL": re.compile(r"\b(?:https?|wss?)://[^\s\"'`<>)\]]*[^\s\"'`<>)\].,;:!?]"),
    "address": re.compile(
        r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\b"
    ),
    "path": re.compile(
        rf"{_BEFORE}(?:~|/(?:home|root|Users|tmp|var|opt|srv|mnt|etc|usr))(?:/{_PART})+/?"
        rf"|{_BEFORE}(?:/{_PART}){{4,}}/?|{_BEFORE}/root\b|\b[A-Za-z]:\\[\w\\.-]+"
    ),
    "host name": re.compile(rf"\b{_HOST}{_TOP}\b", re.IGNORECASE),
}
_PUT: Final[dict[str, Callable[[int], str]]] = {
    "token": lambda n: f"token-{n}",
    "e-mail": lambda n: f"person-{n}@mail.example",
    "URL": lambda n: f"https://site-{n}.example/",
    "address": lambda n: f"192.0.2.{n % 255}",
    "path": lambda n: f"path-{n}",
    "host name": lambda n: f"machine-{n}.example",
}
_HARMLESS: Final = re.compile(
    r"https://site-\d+\.example/|192\.0\.2\.\d+|person-\d+@mail\.example|machine-\d+\.example"
    r"|token-\d+|path-\d+"
)


def leaks(text: str, names: Iterable[str] = ()) -> list[str]:
    """Name what a text holds that is nobody's business: kinds, and what was found."""
    rest = _HARMLESS.sub(" ", text)
    found = [f"{kind}: {one}" for kind, rule in KINDS.items() for one in rule.findall(rest)]
    return found + [f"name: {one}" for one in names if _word(one).search(rest)]


class Sanitiser:
    """Replaces what it is given in the same way, for one log."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words
        self._rule = re.compile("|".join(_word(one).pattern for one in words) or r"(?!)")
        self._known: dict[tuple[str, str], str] = {}
        self._first: datetime | None = None

    def text(self, text: str) -> str:
        """Replace all that is in a text, names last: one may be in a path."""
        for kind, rule in KINDS.items():
            text = rule.sub(partial(self._put_found, kind), text)
        return self._rule.sub(lambda found: self._words[found[0]], text)

    def message(self, message: dict[str, Any]) -> dict[str, Any]:
        """Replace what is in one record of a log; its keys and their order stay."""
        changed = {
            "room": ROOM,
            "ts": self._time(message["ts"]),
            "from": self._words.get(message["from"], message["from"]),
            "text": self.text(message["text"]),
            "mentions": [self._words.get(one, one) for one in message["mentions"]],
        }
        if "client_msg_id" in message:
            changed["client_msg_id"] = self._put("key", message["client_msg_id"])
        return message | changed

    def _put_found(self, kind: str, found: re.Match[str]) -> str:
        return self._put(kind, found[0])

    def _put(self, kind: str, found: str) -> str:
        if _HARMLESS.fullmatch(found):
            return found
        number = 1 + sum(1 for one, _ in self._known if one == kind)
        put = _PUT[kind](number) if kind in _PUT else f"{kind}-{number}"
        return self._known.setdefault((kind, found), put)

    def _time(self, text: str) -> str:
        at = datetime.fromisoformat(text)
        self._first = self._first or at
        moved = _BEGIN + max(timedelta(), at - self._first)
        return moved.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def words_for(seats: list[dict[str, Any]], room: str, more: Iterable[str]) -> dict[str, str]:
    """Give a word for each name: by kind and number for seats, by number for the others."""
    words: dict[str, str] = {}
    counts: dict[str, int] = {}
    for seat in seats:
        kind = "host" if seat.get("is_host") else {"human": "person"}.get(seat["kind"], "agent")
        counts[kind] = counts.get(kind, 0) + 1
        words[seat["alias"]] = kind if kind == "host" else f"{kind}-{counts[kind]}"
        if seat.get("display_name"):
            words[seat["display_name"]] = words[seat["alias"]]
    words[room] = ROOM
    for number, name in enumerate(more, 1):
        words.setdefault(name, f"name-{number}")
    # The longest first: a name may be the beginning of another.
    return dict(sorted(words.items(), key=lambda one: -len(one[0])))


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the room, with its log and its roster")
    parser.add_argument("--name", action="append", default=[], help="a word that is to go")
    given = parser.parse_args(arguments)
    seats = json.loads((given.folder / "participants.json").read_text("utf-8"))
    own = {getpass.getuser(), socket.gethostname()} - {"root", "localhost"}
    names = [*given.name, *sorted(own)]
    words = words_for(seats, given.folder.resolve().name, names)
    sanitiser = Sanitiser(words)
    for line in filter(None, (given.folder / "messages.jsonl").read_bytes().split(b"\n")):
        message = sanitiser.message(json.loads(line))
        print(json.dumps(message, ensure_ascii=False, separators=(",", ":")))
        for leak in leaks(message["text"], names):
            print(f"#{message['id']} still has a {leak}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
