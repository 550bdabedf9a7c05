"""Homes to measure on: a roster of people, and a log of so many messages."""

import hashlib
import json
import time
from pathlib import Path

ROOM = "bench"
PARTICIPANTS = 3_000
"""Enough that no one meets a rate: each may post 120 times a minute and hold four waits."""


def token(index: int) -> str:
    """Give the token of participant ``index``; 0 is the host."""
    return f"agp_{index:043d}"


def seed_home(home: Path, messages: int) -> None:
    """Write a home with one room of ``messages`` messages, as the program would have."""
    room = home / "rooms" / ROOM
    room.mkdir(parents=True, mode=0o700)
    for folder in (home, home / "rooms", room):
        folder.chmod(0o700)
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    roster = [
        {
            "alias": "host" if index == 0 else f"p{index}",
            "kind": "human",
            "location": "local",
            "install": "lite",
            "attention": "manual",
            "is_host": index == 0,
            "token_hash": hashlib.sha256(token(index).encode()).hexdigest(),
            "joinedAt": now,
            "lastSeenAt": now,
            "claimed_at": now,
        }
        for index in range(PARTICIPANTS)
    ]
    state = {
        "id": ROOM,
        "status": "open",
        "attendance_policy": "manual-ok",
        "createdAt": now,
        "updatedAt": now,
        "next_message_id": messages + 1,
        "brief_version": 1,
        "brief_updated_at": now,
        "brief_updated_by": "host",
    }
    write(room / "room.json", json.dumps(state))
    write(room / "participants.json", json.dumps(roster))
    write(room / "brief.md", "Measure.")
    filler = "x" * 180
    with (room / "messages.jsonl").open("w") as log:
        (room / "messages.jsonl").chmod(0o600)
        for number in range(1, messages + 1):
            log.write(
                f'{{"id":{number},"room":"{ROOM}","ts":"{now}","from":"p{1 + number % 99}",'
                f'"type":"message","text":"message {number} {filler}","mentions":[]}}\n'
            )
    current = {
        "roomId": ROOM,
        "alias": "host",
        "token": token(0),
        "baseUrl": "http://127.0.0.1:8787",
    }
    write(home / "current-room.json", json.dumps(current))


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_text(text)
