"""Homes to measure on: a roster of people, and a log of so many messages."""

import hashlib
import json
import time
from pathlib import Path

from tests.bench.conversation import write_conversation

ROOM = "bench"
LOG = "messages.jsonl"
PARTICIPANTS = 3_000
"""Enough that no one meets a rate: each may post 120 times a minute and hold four waits."""
TALKERS = 24
"""Enough to post 200 messages at once, and a roster such as a large room has."""


def token(index: int) -> str:
    """Give the token of participant ``index``; 0 is the host."""
    return f"agp_{index:043d}"


def seed_home(home: Path, messages: int, participants: int = PARTICIPANTS) -> None:
    """Write a home with one room of ``messages`` messages, as the program would have."""
    room = seed_room(home, messages, participants)
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    filler = "x" * 180
    with (room / LOG).open("w") as log:
        (room / LOG).chmod(0o600)
        for number in range(1, messages + 1):
            log.write(
                f'{{"id":{number},"room":"{ROOM}","ts":"{now}","from":"p{1 + number % 99}",'
                f'"type":"message","text":"message {number} {filler}","mentions":[]}}\n'
            )


def seed_conversation(home: Path, messages: int) -> None:
    """Write a home with one room in which people and agents talked."""
    room = seed_room(home, messages, TALKERS)
    authors = ("host", *(f"p{index}" for index in range(1, TALKERS)))
    write_conversation(room / LOG, ROOM, messages, authors)


def seed_room(home: Path, messages: int, participants: int) -> Path:
    """Write a room but for its log; gives its folder."""
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
            # Who has no name is asked for one by the page.
            "display_name": f"Person {index}",
        }
        for index in range(participants)
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
    current = {
        "roomId": ROOM,
        "alias": "host",
        "token": token(0),
        "baseUrl": "http://127.0.0.1:8787",
    }
    write(home / "current-room.json", json.dumps(current))
    return room


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads."""
    path.touch(mode=0o600)
    path.write_text(text)
