"""Texts as words, from a file, and on standard input."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.outside.terminal import AGENTGATHER, ROOT, Terminal


def last(host: Terminal) -> str:
    text: str = host.log()[-1]["text"]
    return text


def test_a_dash_is_standard_input(host: Terminal) -> None:
    host.run("send", "host", "-", stdin="héllo\n\n  two\n".encode())
    assert last(host) == "@host héllo\n\n  two"
    number = str(host.log()[-1]["id"])
    host.run("reply", number, "-", stdin=b"an answer\n")
    assert last(host) == "an answer"
    host.run("reply", number, "--text", "-", stdin=b"another\n")
    assert last(host) == "another"
    host.run("handoff", "host", "--summary", "-", stdin=b"the summary\n")
    assert last(host) == "@host the summary"
    host.run("room", "brief", "set", "-", stdin=b"Goal: new\n")
    assert "Goal: new" in host.run("room", "brief", "view")
    host.run("room", "brief", "set", "--body-file", "-", stdin=b"Goal: newer\n")
    assert "Goal: newer" in host.run("room", "brief", "view")


def test_a_dash_among_words_is_a_word(host: Terminal) -> None:
    host.run("send", "host", "-", "and", "more")
    assert last(host) == "@host - and more"


@pytest.mark.hostile("C02")
@pytest.mark.parametrize(
    "stdin",
    [b"", b" \n\t\n", b"\xff\xfe", b"ok \xed\xa0\x80", b"x" * 1_000_000, b"\x00" * 1_000_000],
    ids=["empty", "blank", "no text", "a surrogate", "a megabyte", "zeros"],
)
def test_what_is_no_text_is_refused_and_nothing_is_posted(stdin: bytes, host: Terminal) -> None:
    before = len(host.log())
    host.fails(2, "send", "host", "-", stdin=stdin)
    host.fails(2, "handoff", "host", "--summary", "-", stdin=stdin)
    assert len(host.log()) == before


@pytest.mark.hostile("C02")
@pytest.mark.parametrize("words", [[""], [" ", " "], ["--text", ""], ["--text", "a", "b"]])
def test_an_empty_text_and_two_texts_are_misuse(words: list[str], host: Terminal) -> None:
    host.fails(2, "send", "host", *words)


@pytest.mark.hostile("C02")
def test_a_text_over_the_limit_is_refused(host: Terminal) -> None:
    before = len(host.log())
    done = host.here("send", "host", "-", stdin=b"x" * 24_000)
    assert done.status in (1, 2), done
    assert done.out == ""
    assert len(host.log()) == before
    host.run("send", "host", "-", stdin=b"x" * (24_000 - len("@host ")))
    assert len(host.log()) == before + 1


def test_a_summary_may_be_a_file_and_has_a_limit_of_its_own(host: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Done\nall of it\n")
    host.run("handoff", "host", "--summary", str(path))
    assert host.log()[-1]["type"] == "handoff"
    assert last(host) == "@host # Done\nall of it"
    path.write_text("x" * 12_001)
    host.fails(2, "handoff", "host", "--summary", str(path))
    path.write_bytes(b"\xff")
    host.fails(2, "handoff", "host", "--summary", str(path))


@pytest.mark.hostile("C02")
def test_a_file_may_be_a_pipe(terminal: Terminal, tmp_path: Path) -> None:
    fifo = tmp_path / "brief"
    os.mkfifo(fifo)
    starting = terminal.start("room", "start", "demo", "--brief-file", str(fifo))
    with fifo.open("w") as writer:
        writer.write("Goal: piped")
    assert starting.wait(20) == 0
    assert "Goal: piped" in terminal.run("room", "brief", "view")


@pytest.mark.hostile("C02")
def test_a_closed_standard_input_is_an_empty_one(host: Terminal) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" <&-', "-", *AGENTGATHER, "send", "host", "-"],
        env=host.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
