"""The loop of the Attend Card, run as it stands by real shells. Its curl and its sleep are
ours, so an hour takes a moment and every answer comes that there is.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agentgather.wire.limits import UNPUBLISHED_SECONDS
from tests.domain.test_card import blocks, card

# The next answer is the first file; the end of its name is curl's exit status.
CURL = """#!/bin/sh
printf '%s\\n' "$*" >>asked
set -- answers/*
cat "$1"
rm "$1"
exit "${1##*-}"
"""
# Where nothing more is to come, the loop is ended from outside.
SLEEP = """#!/bin/sh
echo "$1" >>slept
[ -n "$(ls answers)" ] || kill "$PPID"
"""
HTML = "<html>\n<h1>502 Bad Gateway</h1>\n</html>\n"
TERMINATED = -15
SET_UP, LOOP = (
    next(f"{block}\n" for block in blocks(card(), "sh") if word in block)
    for word in ("export", "while")
)

Answer = tuple[str, int]


class Heard(NamedTuple):
    """What became of a loop: its status, what it printed, its pauses, where it asked from."""

    status: int
    printed: list[str]
    slept: list[int]
    asked: list[int]


Run = Callable[[Iterable[Answer]], Heard]


def waited(since: int, *texts: str, **more: Any) -> Answer:
    document = {
        "ok": True,
        "heartbeat": not texts,
        "messages": [{"id": since - len(texts) + n, "text": text} for n, text in enumerate(texts)],
        "next_since_id": since,
        "keep_waiting": not texts,
        "next_cmd": "curl …",
        "has_more": False,
        **more,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False) + "\n", 0


def refused(code: str) -> Answer:
    return f'{{"ok":false,"error":"{code}","message":"Says the {code}."}}\n', 0


CLOSED = waited(9, keep_waiting=False, heartbeat=False, next_cmd=None)


@pytest.fixture
def shell() -> list[str]:
    """The shell that runs the loop, but where a test asks for another one."""
    return ["sh"]


@pytest.fixture
def run(shell: list[str], tmp_path: Path) -> Run:
    """Run the loop with so many answers, one after the other."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (("curl", CURL), ("sleep", SLEEP)):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)

    def ended(answers: Iterable[Answer]) -> Heard:
        (tmp_path / "answers").mkdir()
        for number, (body, status) in enumerate(answers):
            (tmp_path / "answers" / f"{number:03}-{status}").write_text(body)
        done = subprocess.run(
            [*shell, "-c", SET_UP + LOOP],
            cwd=tmp_path,
            env={"PATH": f"{tools}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stderr == ""
        slept = tmp_path / "slept"
        asked = (tmp_path / "asked").read_text().splitlines()
        return Heard(
            done.returncode,
            done.stdout.splitlines(),
            [int(line) for line in slept.read_text().splitlines()] if slept.exists() else [],
            [int(line.partition("since_id=")[2].partition(" ")[0]) for line in asked],
        )

    return ended


def test_answers_with_messages_are_printed_and_the_next_is_asked_for_at_once(run: Run) -> None:
    first, empty, second = waited(2, "a", "b"), waited(2), waited(3, 'c "next_since_id":77 …')
    heard = run([first, empty, second, CLOSED])
    assert heard.status == 0
    assert heard.printed == [answer.rstrip("\n") for answer, _ in (first, second, CLOSED)]
    assert heard.asked == [0, 2, 2, 3]
    assert heard.slept == []


def test_a_removed_seat_ends_it(run: Run) -> None:
    removed = waited(
        4, heartbeat=False, keep_waiting=False, next_cmd=None, participant_status="removed"
    )
    heard = run([waited(4, "a"), removed, CLOSED])
    assert (heard.status, heard.asked) == (0, [0, 4])
    assert '"participant_status":"removed"' in heard.printed[-1]


@pytest.mark.hostile("I07")
@pytest.mark.parametrize(
    "code",
    [
        *("unauthorized", "forbidden", "participant_mismatch", "participant_removed"),
        *("invite_expired", "route_closed"),
    ],
)
def test_what_is_over_for_good_ends_it_and_is_printed(run: Run, code: str) -> None:
    heard = run([waited(1, "a"), refused(code), CLOSED])
    assert (heard.status, heard.asked, heard.slept) == (0, [0, 1], [])
    assert heard.printed[1:] == [refused(code)[0].rstrip("\n")]


@pytest.mark.hostile("I07")
def test_a_curl_that_has_no_answer_is_run_again_in_a_moment(run: Run) -> None:
    failures = [("", status) for status in (6, 7, 28, 35, 52, 56)]
    heard = run([waited(1, "a"), *failures, CLOSED])
    assert (heard.status, heard.asked) == (0, [0] + [1] * 7)
    assert heard.slept == [5] * 6
    assert len(heard.printed) == 2


@pytest.mark.hostile("I07")
def test_half_an_answer_is_none(run: Run) -> None:
    whole = waited(3, "a", "b", "c")
    halves = [(whole[0][:length], 18) for length in (12, 40, -5)]
    heard = run([*halves, whole, CLOSED])
    assert (heard.status, heard.asked, heard.slept) == (0, [0, 0, 0, 0, 3], [5] * 3)
    assert heard.printed[0] == whole[0].rstrip("\n")


@pytest.mark.hostile("I07")
def test_a_host_that_is_away_or_busy_is_asked_again_in_a_moment(run: Run) -> None:
    codes = (
        *("host_unavailable", "shutting_down", "overloaded", "route_request_limit", "wait_limit"),
        *("bad_host_response", "response_too_large", "internal_error", "a_code_of_next_year"),
    )
    answers = [*map(refused, codes), (HTML, 0), ('{"status":"forbidden"}', 0), ("", 0)]
    heard = run([waited(1, "a"), *answers, waited(2, "b"), CLOSED])
    assert heard.status == 0
    assert heard.slept == [5] * len(answers)
    assert len(heard.printed) == 3


def test_where_too_much_was_asked_it_waits_for_a_minute(run: Run) -> None:
    heard = run([refused("rate_limited"), CLOSED])
    assert (heard.status, heard.slept, len(heard.printed)) == (0, [60], 1)


def test_a_room_that_is_not_public_is_waited_for_an_hour(run: Run) -> None:
    tries = UNPUBLISHED_SECONDS // 60
    over = [refused("route_expired"), refused("route_not_found")] * (tries // 2)
    heard = run([*over[1:], waited(1, "a"), refused("host_unavailable"), *over, CLOSED])
    assert heard.status == 0
    assert heard.slept == [60] * (tries - 1) + [5] + [60] * (tries - 1)
    assert heard.printed == [waited(1, "a")[0].rstrip("\n"), over[-1][0].rstrip("\n")]


def test_a_host_that_is_away_is_waited_for_as_long_as_it_takes(run: Run) -> None:
    away = [refused("host_unavailable"), ("", 7)] * (UNPUBLISHED_SECONDS // 60 // 2 + 1)
    heard = run(away)
    assert (heard.status, heard.printed, len(heard.slept)) == (TERMINATED, [], len(away))


@pytest.mark.parametrize("shell", [["bash"], ["zsh"], ["busybox", "sh"]], ids=lambda one: one[0])
def test_it_is_the_same_in_other_shells(shell: list[str], run: Run) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip("this shell is not here")
    ways = [("", 7), refused("route_expired"), refused("rate_limited"), waited(1), (HTML, 0)]
    heard = run([waited(1, "a"), *ways, refused("forbidden"), CLOSED])
    assert heard.slept == [5, 60, 60, 5]
    assert (heard.status, len(heard.printed), len(heard.asked)) == (0, 2, 7)
