"""``broker token``, and what ``broker serve`` refuses before it serves."""

import socket
import stat
from pathlib import Path

import pytest

from agentgather.broker.state import open_state
from tests.cli.terminal import NOW_MS, Result, Terminal

NOW = NOW_MS // 1000


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home", environ={"HOME": str(tmp_path)})


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / ".local" / "state" / "agentgather-broker"


def is_taken(state_dir: Path, token: str, now: int = NOW) -> bool:
    state = open_state(state_dir, create=False)
    try:
        return state.use_token(token, now)
    finally:
        state.close()


# --- token --------------------------------------------------------------------------------------
def test_a_token_is_printed_alone_and_once(terminal: Terminal, state_dir: Path) -> None:
    done = terminal.run("broker", "token", "add", "ada")
    assert done.status == 0
    token = done.out.removesuffix("\n")
    assert token.startswith("agr_")
    assert len(token) == 47
    assert "once" in done.err
    assert token not in done.err
    assert is_taken(state_dir, token)
    listed = terminal.run("broker", "token", "list")
    assert token not in listed.out
    assert token[4:] not in listed.out


def test_a_token_as_json(terminal: Terminal) -> None:
    done = terminal.run("broker", "token", "add", "ada", "--expires", "30d", "--json")
    assert done.documents == [
        {
            "ok": True,
            "id": 1,
            "label": "ada",
            "token": done.documents[0]["token"],
            "expires_at": "2027-02-14T08:00:00.000Z",
        }
    ]


def test_a_token_without_a_label(terminal: Terminal, state_dir: Path) -> None:
    first = terminal.run("broker", "token", "add").out.strip()
    second = terminal.run("broker", "token", "add").out.strip()
    assert first != second
    assert is_taken(state_dir, first)
    assert is_taken(state_dir, second)


def test_a_token_ends_when_it_was_to(terminal: Terminal, state_dir: Path) -> None:
    token = terminal.run("broker", "token", "add", "--expires", "2h").out.strip()
    assert is_taken(state_dir, token, NOW + 7199)
    assert not is_taken(state_dir, token, NOW + 7200)


def test_tokens_are_listed_with_what_is_known_of_them(terminal: Terminal, state_dir: Path) -> None:
    token = terminal.run("broker", "token", "add", "ada").out.strip()
    terminal.run("broker", "token", "add", "--expires", "1s")
    assert is_taken(state_dir, token, NOW + 86_400)
    done = terminal.run("broker", "token", "list")
    rows = [line.split("  ") for line in done.out.splitlines()]
    assert [cell.strip() for cell in rows[0] if cell] == [
        *("ID", "LABEL", "CREATED", "LAST USED", "EXPIRES")
    ]
    assert [cell.strip() for cell in rows[1] if cell] == [
        *("1", "ada", "2027-01-15", "2027-01-16", "never")
    ]
    assert [cell.strip() for cell in rows[2] if cell] == [
        *("2", "-", "2027-01-15", "never", "2027-01-15T08:00:01.000Z")
    ]
    (document,) = terminal.run("broker", "token", "list", "--json").documents
    assert document["tokens"][0] == {
        "id": 1,
        "label": "ada",
        "created_at": "2027-01-15T08:00:00.000Z",
        "last_used_on": "2027-01-16",
        "expires_at": None,
        "expired": False,
    }


def test_a_token_that_has_expired_is_listed_as_such(terminal: Terminal, state_dir: Path) -> None:
    state = open_state(state_dir)
    state.add_token("old", now_wall_s=NOW - 100, expires_wall_s=NOW)
    state.close()
    assert "(expired)" in terminal.run("broker", "token", "list").out
    (document,) = terminal.run("broker", "token", "list", "--json").documents
    assert document["tokens"][0]["expired"] is True


@pytest.mark.parametrize("name", ["1", "ada"])
def test_a_token_is_revoked_by_id_or_label(terminal: Terminal, state_dir: Path, name: str) -> None:
    token = terminal.run("broker", "token", "add", "ada").out.strip()
    assert terminal.run("broker", "token", "revoke", name).out == f"revoked {name}\n"
    assert not is_taken(state_dir, token)
    assert terminal.run("broker", "token", "list").out == "(no registration tokens)\n"
    done = terminal.run("broker", "token", "revoke", name)
    assert (done.status, done.out) == (1, "")
    assert "token list" in done.err


def test_tokens_are_added_and_revoked_while_a_broker_runs(
    terminal: Terminal, state_dir: Path
) -> None:
    broker = open_state(state_dir, serving=True)
    token = terminal.run("broker", "token", "add", "ada").out.strip()
    assert broker.use_token(token, NOW)
    assert terminal.run("broker", "token", "revoke", "ada").status == 0
    assert not broker.use_token(token, NOW)
    broker.close()


def test_a_label_names_one_token(terminal: Terminal) -> None:
    terminal.run("broker", "token", "add", "ada")
    done = terminal.run("broker", "token", "add", "ada")
    assert done.status == 1
    assert "revoke it" in done.err


@pytest.mark.parametrize(
    "label", ["", " ", "12", "a" * 65, "a\nb", " a", "\x1b[31m", "agr_" + "A" * 43]
)
def test_what_is_no_label_is_refused(terminal: Terminal, state_dir: Path, label: str) -> None:
    assert terminal.run("broker", "token", "add", label).status == 2
    assert not state_dir.exists()


# --- Where the state is -----------------------------------------------------------------------
def made(terminal: Terminal, *arguments: str, **environ: str) -> Result:
    other = Terminal(terminal.root, environ={**terminal.environ, **environ})
    return other.run("broker", "token", "add", *arguments)


def test_the_state_is_where_systemd_or_the_user_wants_it(
    terminal: Terminal, tmp_path: Path, state_dir: Path
) -> None:
    unit, xdg, named = tmp_path / "unit", tmp_path / "xdg", tmp_path / "named"
    given = {"STATE_DIRECTORY": f"{unit}:/other", "XDG_STATE_HOME": str(xdg)}
    assert made(terminal, "--state-dir", str(named), **given).status == 0
    assert (named / "key").exists()
    assert not unit.exists()
    assert made(terminal, **given).status == 0
    assert (unit / "key").exists()
    assert not xdg.exists()
    assert made(terminal, XDG_STATE_HOME=str(xdg)).status == 0
    assert (xdg / "agentgather-broker" / "key").exists()
    assert not state_dir.exists()
    assert made(terminal, XDG_STATE_HOME="relative").status == 0
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


def test_an_empty_name_is_no_place(terminal: Terminal) -> None:
    done = made(terminal, "--state-dir", "")
    assert done.status == 2
    assert "--state-dir is empty" in done.err


@pytest.mark.parametrize("words", ["list", "revoke ada"])
def test_where_no_state_is_none_is_made(terminal: Terminal, state_dir: Path, words: str) -> None:
    done = terminal.run("broker", "token", *words.split())
    assert done.status == 1
    assert "--state-dir" in done.err
    assert not state_dir.exists()


@pytest.mark.hostile("B18")
def test_a_state_that_cannot_be_used_is_named_in_one_line(
    terminal: Terminal, state_dir: Path
) -> None:
    terminal.run("broker", "token", "add")
    state_dir.chmod(0o755)
    for words in ("token list", "token add", "serve --port 0"):
        done = terminal.run("broker", *words.split())
        assert (done.status, done.out) == (1, "")
        assert done.err.count("\n") == 1
        assert "chmod 700" in done.err
    state_dir.chmod(0o700)
    (state_dir / "state.sqlite3").write_bytes(b"x" * 5000)
    done = terminal.run("broker", "token", "list")
    assert done.status == 1
    assert "damaged" in done.err


@pytest.mark.hostile("B18")
def test_a_second_broker_on_a_state_is_refused(terminal: Terminal, state_dir: Path) -> None:
    broker = open_state(state_dir, serving=True)
    done = terminal.run("broker", "serve", "--port", "0")
    broker.close()
    assert done.status == 69
    assert "already" in done.err


# --- What serve refuses ---------------------------------------------------------------------------
@pytest.mark.hostile("B12")
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("--host 0.0.0.0", "--allow-remote"),
        ("--host ::", "--allow-remote"),
        ("--host 192.0.2.1", "--public-url"),
        ("--public-url http://rooms.example", "https"),
        ("--public-url https://a.example --public-url http://rooms.example", "https"),
        ("--public-url rooms.example", "--public-url"),
        ("--public-url https://rooms.example/?x", "--public-url"),
        ("--public-url ftp://rooms.example", "--public-url"),
        ("--trusted-proxy caddy", "loopback"),
        ("--trusted-proxy 10.0.0.1/8", "loopback"),
        ("--trusted-proxy 0.0.0.0/0", "everybody"),
        ("--registration closed", "token"),
        ("--legacy-hosts yes", "off"),
        ("--max-lifetime 8", "duration"),
        ("--idle 0m", "duration"),
        ("--port 65536", "65535"),
        ("--client-requests 0", "from 1"),
        ("--streams-per-route 257", "256"),
        ("--waits-per-route 256", "--streams-per-route"),
        ("--streams-per-route 100", "--waits-per-route"),
        ("--metrics-host 0.0.0.0", "--metrics-port"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_that_says_what_to_do(
    terminal: Terminal, state_dir: Path, words: str, hint: str
) -> None:
    done = terminal.run("broker", "serve", *words.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert hint in done.err
    assert not state_dir.exists()


def test_a_taken_port_is_refused_and_the_state_is_free_again(
    terminal: Terminal, state_dir: Path
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        for words in (("--port", port), ("--port", "0", "--metrics-port", port)):
            done = terminal.run("broker", "serve", *words)
            assert done.status == 1
            assert "taken" in done.err
    open_state(state_dir, serving=True).close()
