"""The doctor finds what is wrong, shows no secret, and is no sign of life."""

import json
from collections.abc import Callable

import pytest

from tests.cli.outside.stub_server import StubServer, refusal
from tests.cli.outside.terminal import Done, Terminal


def checked(terminal: Terminal) -> tuple[Done, dict[str, str]]:
    """Run it both ways, and give the worst result for each name."""
    text = terminal.here("doctor")
    done = terminal.here("doctor", "--json")
    assert done.status == text.status
    document = json.loads(done.out)
    assert document["ok"] == (done.status == 0)
    assert "agp_" not in text.out + text.err + done.out
    worst: dict[str, str] = {}
    for check in document["checks"]:
        order = ["ok", "warn", "FAIL"]
        known = worst.get(check["name"], "ok")
        worst[check["name"]] = max(known, check["result"], key=order.index)
    return text, worst


def test_a_healthy_room_is_healthy(unserved: Terminal) -> None:
    unserved.run("send", "host", "hi")
    unserved.serve()
    before = unserved.run("room", "status", "--json")
    done, found = checked(unserved)
    assert done.status == 0
    assert set(found.values()) == {"ok"}
    assert {"home", "files", "lock", "log", "server", "disk", "clock"} <= set(found)
    seen = json.loads(before)["participants"][0]["lastSeenAt"]
    after = json.loads(unserved.run("room", "status", "--json"))["participants"][0]
    assert after["lastSeenAt"] == seen


def test_a_room_without_a_server_is_no_failure(unserved: Terminal) -> None:
    before = unserved.files()
    done, found = checked(unserved)
    assert done.status == 0
    assert found["server"] == "warn"
    assert unserved.files() == before


def test_an_empty_home_is_no_failure(terminal: Terminal) -> None:
    done, _ = checked(terminal)
    assert done.status == 0
    assert not terminal.home.exists()


@pytest.mark.hostile("S02", "S03")
def test_a_torn_log_and_a_bad_line_are_found_and_left_alone(unserved: Terminal) -> None:
    unserved.run("send", "host", "one")
    log = unserved.home / "rooms" / "demo" / "messages.jsonl"
    whole = log.read_bytes()
    for damaged in (whole + b'{"id":2,"ro', b"nonsense\n" + whole, whole + whole, b"\n\x00\xff\n"):
        log.write_bytes(damaged)
        done, found = checked(unserved)
        assert done.status == 1
        assert found["log"] == "FAIL"
        assert log.read_bytes() == damaged


def test_what_others_can_read_is_found(unserved: Terminal) -> None:
    participants = unserved.home / "rooms" / "demo" / "participants.json"
    participants.chmod(0o644)
    assert checked(unserved)[1]["files"] == "FAIL"
    participants.chmod(0o600)
    unserved.home.chmod(0o777)
    done, found = checked(unserved)
    assert done.status == 1
    assert found["home"] == "FAIL"
    assert unserved.home.stat().st_mode & 0o777 == 0o777


def test_damaged_files_are_found(unserved: Terminal) -> None:
    folder = unserved.home / "rooms" / "demo"
    for name in ("room.json", "room.json.copy"):
        (folder / name).write_text("{}")
    assert checked(unserved)[1]["files"] == "FAIL"
    (unserved.home / "current-room.json").write_text("{")
    done, found = checked(unserved)
    assert (done.status, found["seat"]) == (1, "FAIL")


@pytest.mark.hostile("F03")
def test_a_link_in_the_place_of_a_file_is_found(unserved: Terminal) -> None:
    log = unserved.home / "rooms" / "demo" / "messages.jsonl"
    log.unlink()
    log.symlink_to("/dev/zero")
    done, found = checked(unserved)
    assert (done.status, found["log"]) == (1, "FAIL")


def test_a_guests_server_that_is_away_or_refuses_is_a_failure(
    guest: Terminal, stub: StubServer, open_terminal: Callable[[str], Terminal]
) -> None:
    stub.answers = [refusal("403 Forbidden", "forbidden")]
    done, found = checked(guest)
    assert (done.status, found["server"]) == (1, "FAIL")
    stub.answers = [None]
    assert checked(guest)[1]["server"] == "FAIL"
