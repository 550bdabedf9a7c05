"""At a TAB the program says how a line goes on: commands, flags, values, names, files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentgather.cli.candidates import VARIABLE
from agentgather.cli.completing import SHELLS
from tests.cli.outside.terminal import ROOT
from tests.cli.terminal import Result, Terminal

COMPOPT = "compopt() { local IFS=' '; echo \"compopt $*\"; }\n"
"""The real one works only while readline asks."""


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    terminal = Terminal(tmp_path / "home")
    for room in ("demo", "other"):
        assert terminal.run("room", "start", room).status == 0
    for alias, kind in (("rev", "agent"), ("red", "human"), ("gone", "agent")):
        assert terminal.run("room", "invite", alias, "--kind", kind).status == 0
    assert terminal.run("room", "remove", "gone").status == 0
    return terminal


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the program in it, as it is found in PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    file = folder / "agentgather"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -W error -m agentgather "$@"\n')
    file.chmod(0o755)
    return folder


def ask(monkeypatch: pytest.MonkeyPatch, terminal: Terminal, words: list[str]) -> Result:
    """Ask as the script for bash does, for what the last word may become."""
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["agentgather", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    result = terminal.run()
    assert (result.status, result.err) == (0, "")
    return result


def offered(monkeypatch: pytest.MonkeyPatch, terminal: Terminal, words: list[str]) -> list[str]:
    lines = ask(monkeypatch, terminal, words).out.splitlines()
    return [line.removeprefix("plain,") for line in lines]


# What is typed, as bash splits it, and what is offered for the last word.
CASES = {
    "se": ["send"],
    "room inv": ["invite", "invite-card"],
    "room brief ": ["set", "view"],
    "broker token re": ["revoke"],
    "--ins": ["--insecure"],
    "send rev --cl": ["--client-msg-id"],
    "room invite new --kind ": ["agent", "human"],
    "room invite new --kind =": ["agent", "human"],
    "room invite new --kind = a": ["agent"],
    "room invite new --kind=a": ["--kind=agent"],
    "room attendance set a": ["agents-foreground", "all-foreground"],
    "export --output out --format j": ["json"],
    "completion ": ["bash", "zsh", "fish"],
    "send ": ["host", "rev", "red"],
    "send re": ["rev", "red"],
    "send @re": ["@rev", "@red"],
    "send @ re": ["@rev", "@red"],
    "send @": ["@host", "@rev", "@red"],
    "send rev he": [],
    "handoff h": ["host"],
    "room remove rev": ["rev"],
    "room rotate x": [],
    "room invite-card re": ["rev", "red"],
    # A new one has a name that nobody has yet.
    "room invite re": [],
    "room use ": ["demo", "other"],
    "up d": ["demo"],
    "tunnel run --broker https : //rooms.example --room o": ["other"],
    "room join demo --url http : //127.0.0.1 : 8": [],
    "send --nonsense ": ["host", "rev", "red"],
}


@pytest.mark.parametrize("line", CASES)
def test_a_line_goes_on(line: str, monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    assert offered(monkeypatch, terminal, line.split(" ")) == CASES[line]


@pytest.mark.parametrize(
    "line",
    [
        "up --brief-file ",
        "room start new --brief-file ",
        "room brief set --body-file ",
        "room join demo --token-file ",
        "room serve --registration-token-file ",
        "handoff rev --summary ",
        "export --output ",
    ],
)
def test_files_are_the_shells_to_offer(
    line: str, monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    assert ask(monkeypatch, terminal, line.split(" ")).out == "file,\n"
    assert ask(monkeypatch, terminal, (line + "my").split(" ")).out == "file,my\n"


def test_folders_are_the_shells_to_offer(
    monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    words = ["broker", "serve", "--state-dir", ""]
    assert ask(monkeypatch, terminal, words).out == "dir,\n"


def test_quotes_hide_nothing(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    words = ["handoff", "--summary", "'all is\tdone'", '"re']
    assert offered(monkeypatch, terminal, words) == ["rev", "red"]


@pytest.mark.hostile("C11")
@pytest.mark.parametrize("damage", ["no home", "no current room", "a guest", "damaged", "unsafe"])
def test_a_home_in_any_state_is_no_failure_of_commands_and_flags(
    damage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: Terminal
) -> None:
    if damage == "no home":
        terminal = Terminal(tmp_path / "nowhere")
    elif damage == "no current room":
        terminal.home.clear_current()
    elif damage == "a guest":
        terminal.seat(roomId="elsewhere")
    elif damage == "damaged":
        (terminal.root / "current-room.json").write_text("{")
    else:
        roster = terminal.root / "rooms" / "other" / "participants.json"
        roster.unlink()
        roster.symlink_to("/dev/zero")
    assert offered(monkeypatch, terminal, ["ro"]) == ["room"]
    assert offered(monkeypatch, terminal, ["send", "--t"]) == ["--text"]
    monkeypatch.setenv("COMP_WORDS", "agentgather\nsend\nre")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert terminal.run().out == ""
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "asked", [{}, {"COMP_WORDS": "agentgather\nse"}, {"COMP_CWORD": "1"}], ids=str
)
def test_a_question_without_a_line_is_misuse(
    monkeypatch: pytest.MonkeyPatch, terminal: Terminal, shell: str, asked: dict[str, str]
) -> None:
    monkeypatch.setenv(VARIABLE, f"{shell}_complete")
    for name in ("COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    result = terminal.run()
    assert (result.status, result.out) == (2, "")
    assert "unset it" in result.err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize("number", ["", "x", "1.5", "9" * 5000])
def test_a_question_without_a_place_is_misuse(
    monkeypatch: pytest.MonkeyPatch, terminal: Terminal, shell: str, number: str
) -> None:
    monkeypatch.setenv(VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "agentgather\nse")
    monkeypatch.setenv("COMP_CWORD", number)
    result = terminal.run()
    assert (result.status, result.out) == (2, "")


@pytest.mark.hostile("C11")
def test_a_tab_changes_nothing(monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    def state() -> dict[Path, tuple[bytes, int]]:
        found = [path for path in terminal.root.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before = state()
    for line in CASES:
        ask(monkeypatch, terminal, line.split(" "))
    assert state() == before


@pytest.mark.parametrize("value", ["", "bash", "bash_source", "tcsh_complete"])
def test_what_no_script_of_ours_asks_is_a_usage_error(
    value: str, monkeypatch: pytest.MonkeyPatch, terminal: Terminal
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    result = terminal.run("room", "list")
    assert (result.status, result.out) == (2, "")
    assert "unset it" in result.err


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_comes_as_text_and_as_json(shell: str, terminal: Terminal) -> None:
    text = terminal.run("completion", shell).out
    [document] = terminal.run("completion", shell, "--json").documents
    assert document == {"ok": True, "shell": shell, "script": text}
    assert f"{VARIABLE}={shell}_complete" in text


def test_no_other_shell_has_a_script(terminal: Terminal) -> None:
    result = terminal.run("completion", "tcsh")
    assert (result.status, result.out) == (2, "")


# --- Real shells ------------------------------------------------------------------------
def in_shell(shell: str, text: str, terminal: Terminal, program: Path) -> list[str]:
    """Have a shell without a terminal take its script, and then do what ``text`` says."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    script = terminal.root.parent / "script"
    script.write_text(terminal.run("completion", shell).out)
    plain = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    environment = {
        "PATH": f"{program}:/usr/bin:/bin",
        "HOME": str(terminal.root.parent),
        "AGENTGATHER_HOME": str(terminal.root),
        "PYTHONPATH": str(ROOT),
        "LC_ALL": "C",
    }
    done = subprocess.run(
        [path, *plain, "-c", text.replace("SCRIPT", str(script))],
        env=environment,
        cwd=terminal.root.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def bash(words: str, number: int) -> str:
    return (
        f"{COMPOPT}source SCRIPT\nCOMP_WORDS=({words}) COMP_CWORD={number}\n"
        '_agentgather_completion agentgather\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )


def test_bash_completes(terminal: Terminal, program: Path) -> None:
    def asked(words: str, number: int) -> list[str]:
        return in_shell("bash", bash(words, number), terminal, program)

    assert asked("agentgather se", 1) == ["send"]
    assert asked("agentgather send @ re", 3) == ["@rev", "@red"]
    assert asked("agentgather room invite x --kind = a", 6) == ["agent"]
    # What comes after the cursor is nothing to go by.
    assert asked("agentgather room '' --json", 2)[:2] == ["start", "serve"]
    assert asked("agentgather up --brief-file ''", 3) == ["compopt -o default", ""]
    assert asked("agentgather broker serve --state-dir x", 4) == ["compopt -o dirnames", ""]


def test_bash_registers_the_function_and_says_nothing_of_a_program_that_fails(
    terminal: Terminal, program: Path
) -> None:
    registered = in_shell("bash", "source SCRIPT; complete -p agentgather", terminal, program)
    assert registered == ["complete -o nosort -F _agentgather_completion agentgather"]
    gone = bash("agentgather se", 1).replace("_completion agentgather", "_completion /nowhere/it")
    assert in_shell("bash", gone, terminal, program) == [""]
    failing = "export AGENTGATHER_HOME=relative\n" + bash("agentgather se", 1)
    assert in_shell("bash", failing, terminal, program) == [""]


def test_zsh_completes(terminal: Terminal, program: Path) -> None:
    def asked(*words: str) -> list[str]:
        text = (
            "compdef() { : }\n_describe() { print -l -- ${(P)3} }\n"
            'compadd() { print -l -- "$bare[@]" }\n'
            'compset() { print -- "compset $2" }\n_files() { print -- "files $*" }\n'
            f"source SCRIPT\nwords=({' '.join(words)}) CURRENT={len(words)}\n"
            "_agentgather_completion"
        )
        return in_shell("zsh", text, terminal, program)

    assert asked("agentgather", "se") == ["send:post one message to somebody"]
    assert asked("agentgather", "send", "re") == ["rev:agent", "red:human"]
    assert asked("agentgather", "room", "invite", "x", "--kind=a") == ["--kind=agent"]
    assert asked("agentgather", "up", "--brief-file=x") == ["compset --*=", "files "]
    assert asked("agentgather", "broker", "serve", "--state-dir", "x") == [
        "compset --*=",
        "files -/",
    ]


def test_fish_completes(terminal: Terminal, program: Path) -> None:
    (terminal.root.parent / "brief.txt").touch()

    def asked(line: str) -> list[str]:
        return in_shell("fish", f"source SCRIPT; complete -C '{line}'", terminal, program)

    assert asked("agentgather se") == ["send\tpost one message to somebody"]
    assert asked("agentgather send re") == ["red\thuman", "rev\tagent"]
    assert asked("agentgather room invite x --kind=a") == ["--kind=agent"]
    assert asked("agentgather up --brief-file bri") == ["brief.txt"]
    assert asked("agentgather up --brief-file=bri") == ["--brief-file=brief.txt"]
    assert asked("agentgather broker serve --state-dir=ho") == ["--state-dir=home/\tDirectory"]
