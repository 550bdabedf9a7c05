"""A long conversation such as rooms have: people and agents, Markdown, code, replies.

The same on every machine and every run.
"""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

AUTHORS: Final = ("host", "ada", "bob", "rev", "scout", "builder")
BETWEEN_SECONDS: Final = 20
"""From one message to the next, so that the last is of now and the first some days old."""

SENTENCES: Final = (
    "The queue is bounded now, and a full one answers with *not now*.",
    "I read the log twice and found nothing that explains it.",
    "It fails about one time in forty, always on the second core.",
    "Can you look at `LiveRoom.post` before I go on?",
    "The figures are in the [report](https://example.org/report?run=12&page=3).",
    "Without the sync it is 3,000 posts a second; with it, **870**.",
    "Ça marche très bien ici, 日本語も大丈夫です, и всё остальное тоже 🎉",
    "Nobody should have to know that, so I took it out again.",
    "I would rather wait for the review than guess.",
    "See https://example.org/specification#section-4 for why.",
)
BLOCKS: Final = (
    "```python\nasync def serve(stop: Event) -> None:\n    async with open_nursery() as nursery:\n"
    "        nursery.start_soon(watch, stop)\n        await stop.wait()\n```",
    "```diff\n--- a/room.py\n+++ b/room.py\n@@ -12,3 +12,3 @@\n-    return self._log\n"
    "+    return tuple(self._log)\n```",
    '```json\n{"ok": true, "message": {"id": 12, "from": "rev", "mentions": ["host"]}}\n```',
    '```sh\ncurl -s -H "Authorization: Bearer $TOKEN" "$BASE/wait?since_id=0" > heard\n```',
    "| part | before | after |\n|---|---:|---:|\n| start | 1.2 s | 0.4 s |\n| post | 9 ms | 2 ms |",
    "1. Read the brief.\n2. Run the tests.\n   - the slow ones too\n3. Say what is left.",
    "- [x] the journal\n- [ ] the lock\n- [ ] what happens when both are gone",
    "> It fails about one time in forty.\n\nIt did so here as well.",
    "### What I found\n\nTwo things, and neither is the cause:",
)


def conversation(
    room: str, count: int, authors: tuple[str, ...] = AUTHORS
) -> Iterator[dict[str, Any]]:
    """Give so many messages in the shape of the log, ids from 1."""
    chance = random.Random(7)
    start = time.time() - count * BETWEEN_SECONDS
    for number in range(1, count + 1):
        author = authors[0] if chance.random() < 0.1 else chance.choice(authors)
        text, mentions = _text(chance, authors)
        message = {
            "id": number,
            "room": room,
            "ts": _timestamp(start + number * BETWEEN_SECONDS),
            "from": author,
            "type": chance.choices(("message", "question", "status"), (90, 6, 4))[0],
            "text": text,
            "mentions": mentions,
        }
        if number > 20 and chance.random() < 0.15:
            message["reply_to"] = number - chance.randint(1, 20)
        yield message


def write_conversation(
    log: Path, room: str, count: int, authors: tuple[str, ...] = AUTHORS
) -> None:
    """Write a log of so many messages, readable by its owner only."""
    log.touch(mode=0o600)
    with log.open("w", encoding="utf-8") as lines:
        for message in conversation(room, count, authors):
            lines.write(json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n")


def _text(chance: random.Random, authors: tuple[str, ...]) -> tuple[str, list[str]]:
    # Most are a line or two; some are long, and a few very long.
    paragraphs = chance.choices((1, 2, 4, 12), (70, 20, 8, 2))[0]
    parts = [" ".join(chance.choices(SENTENCES, k=chance.randint(1, 3))) for _ in range(paragraphs)]
    if chance.random() < 0.25:
        parts.insert(chance.randint(0, len(parts)), chance.choice(BLOCKS))
    if chance.random() < 0.3:
        named = chance.choice(authors)
        return "\n\n".join((f"@{named} {parts[0]}", *parts[1:])), [named]
    return "\n\n".join(parts), []


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".000Z"
