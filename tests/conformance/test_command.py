"""``agentgather conformance``: what it prints, how it ends, and what it leaves behind."""

import io
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from agentgather.cli.context import Context
from agentgather.cli.program import run_command
from agentgather.storage.home import Home
from tests.cli.outside.terminal import Served, Terminal, ended, eventually
from tests.conformance.faults import FAULTS
from tests.conformance.faulty_server import OK, Fault, Reply, open_faulty
from tests.conformance.stage import BY_NAME

ONLY = ("--only", "message.keys", "--only", "query.")
TRIED = ["message.keys", "query.unknown", "query.twice", "query.not-utf8"]


class Host(Terminal):
    """The host of a served room, who tries it."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.run("room", "start", "demo", "--brief", "Goal.", "--url", "http://127.0.0.1:1")
        self.served: Served = self.serve()
        self.token = self.seat()["token"]
        self.token_file = home.parent / "token"
        self.token_file.write_text(self.token + "\n")
        self.with_token = ("--host-token-file", str(self.token_file))

    def command(self, *arguments: str) -> tuple[str, ...]:
        return ("conformance", self.served.url, *self.with_token, *arguments)

    def roster(self) -> dict[str, bool]:
        """Give who has a seat, and whether it was removed."""
        participants = self.json("room", "status")["participants"]
        return {one["alias"]: "removed_at" in one for one in participants}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    terminal = Host(tmp_path / "home")
    yield terminal
    terminal.close()


def test_the_clauses_can_be_listed_without_a_server(host: Host) -> None:
    lines = host.run("conformance", "--list").splitlines()
    assert [line.partition(" ")[0] for line in lines] == list(BY_NAME)
    document = host.json("conformance", "--list", "--only", "host.")
    assert [one["clause"] for one in document["clauses"]] == [
        "host.another",
        "host.loopback",
        "host.only",
    ]
    assert document["clauses"][0]["said"] == "spec/http-api.md#base-url"


def test_a_room_that_keeps_all_is_said_to(host: Host) -> None:
    done = host.here(*host.command(*ONLY))
    assert (done.status, done.out) == (0, "kept: 4 passed, 0 failed, 0 skipped\n")
    assert done.err.startswith("agentgather: trying 4 clauses on demo at http://127.0.0.1:")
    assert host.token not in done.out + done.err


def test_what_was_made_is_removed_again_and_the_rest_put_back(host: Host) -> None:
    host.run("room", "attendance", "set", "all-foreground")
    host.run(*host.command("--yes", "--only", "brief.", "--only", "policy.", "--only", "join."))
    made = host.roster()
    assert made.pop("host") is False
    assert all(made.values())
    assert all(alias.startswith("conformance-") for alias in made)
    assert host.json("room", "brief", "view")["brief"]["body"] == "Goal."
    status = host.json("room", "status")
    assert (status["attendance_policy"], status["room_status"]) == ("all-foreground", "open")


def test_the_result_is_one_document(host: Host) -> None:
    done = host.here(*host.command("--json", *ONLY))
    document = json.loads(done.out)
    assert list(document) == ["ok", "url", "passed", "failed", "skipped", "clauses"]
    assert (document["ok"], document["passed"]) == (True, 4)
    assert sorted(one["clause"] for one in document["clauses"]) == sorted(TRIED)
    keys = ["clause", "said", "checks", "needs_close", "result", "detail"]
    assert all(list(one) == keys for one in document["clauses"])


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
async def test_a_clause_that_fails_is_named_with_what_came(
    form: tuple[str, ...], host: Host
) -> None:
    async with open_faulty(host.served.port, FAULTS["post.again"]) as port:
        url = f"http://127.0.0.1:{port}"
        words = ("conformance", url, *host.with_token, "--only", "post.again", *form)
        done = await trio.to_thread.run_sync(partial(host.try_, *words))
    assert done.status == 1
    if form:
        (clause,) = json.loads(done.out)["clauses"]
        assert (clause["clause"], clause["result"]) == ("post.again", "failed")
        assert clause["detail"] == "idempotent is None, not True"
    else:
        assert done.out == (
            "FAIL post.again: idempotent is None, not True (spec/http-api.md#post-messages)\n"
            "NOT kept: 0 passed, 1 failed, 0 skipped\n"
        )


def test_what_cannot_be_tried_is_said(host: Host) -> None:
    done = host.here(*host.command("--only", "broker.route", "--only", "close.posts"))
    assert done.status == 0
    assert done.out == (
        "skip broker.route: no broker is in between (spec/http-api.md#a-room-at-a-broker)\n"
        "skip close.posts: it closes the room; say --close to allow that (spec/states.md#room)\n"
        "kept: 0 passed, 0 failed, 2 skipped\n"
    )


def test_only_with_close_is_the_room_closed(host: Host) -> None:
    assert host.here(*host.command("--close", "--only", "close.")).status == 0
    assert host.json("room", "status")["room_status"] == "closed"
    error = host.fails(2, *host.command(*ONLY))
    assert "the room is closed" in error


def test_a_room_in_use_is_left_alone(host: Host) -> None:
    host.run("send", "host", "somebody works here")
    assert "say --yes" in host.fails(2, *host.command(*ONLY))
    assert len(host.log()) == 1
    assert host.roster() == {"host": False}
    assert host.here(*host.command("--yes", *ONLY)).status == 0


def test_the_token_comes_from_a_file_from_standard_input_or_the_environment(host: Host) -> None:
    words = ("conformance", host.served.url, "--yes", "--only", "query.twice")
    assert host.here(*words, "--host-token", host.token).status == 0
    assert host.here(*words, "--host-token", "-", stdin=host.token.encode()).status == 0
    assert host.try_(*words, AGENTGATHER_HOST_TOKEN=host.token).status == 0


def test_misuse_is_refused_before_anybody_is_asked(host: Host) -> None:
    url = "http://127.0.0.1:1"
    assert "name the URL" in host.fails(2, "conformance")
    assert "give the token" in host.fails(2, "conformance", url)
    both = ("--host-token", "-", "--host-token-file", "x")
    assert "give the token" in host.fails(2, "conformance", url, *both)
    assert "no token" in host.fails(2, "conformance", url, "--host-token", "x")
    unknown = ("--only", "nothing")
    assert "no clause begins with" in host.fails(2, "conformance", url, *host.with_token, *unknown)
    elsewhere = "http://192.0.2.1"
    assert "plain HTTP" in host.fails(2, "conformance", elsewhere, *host.with_token)


def test_who_is_no_host_tries_nothing(host: Host) -> None:
    words = ("conformance", host.served.url, "--host-token")
    assert "does not take the token" in host.fails(2, *words, "agp_" + "x" * 43)
    rev = host.json("room", "invite", "rev")
    assert "not the host's" in host.fails(2, *words, rev["token"])


def test_a_server_that_is_not_there_is_no_broken_contract(host: Host) -> None:
    host.served.stop()
    error = host.fails(69, *host.command())
    assert error.startswith("agentgather: nobody answers at http://127.0.0.1:")


async def test_a_server_that_does_not_answer_as_one_is_not_there(host: Host) -> None:
    def with_(reply: Reply) -> Fault:
        return Fault(what="another", asked="GET /status", instead=reply)

    away = Reply(504, (), b'{"ok":false,"error":"host_unavailable","message":"away"}\n')
    page = Reply(200, (("content-type", "text/html"),), b"<h1>It works</h1>")
    for reply, status in ((away, 69), (page, 2)):
        async with open_faulty(host.served.port, with_(reply)) as port:
            words = ("conformance", f"http://127.0.0.1:{port}", *host.with_token)
            done = await trio.to_thread.run_sync(partial(host.try_, *words))
        assert (done.status, done.out) == (status, "")
        assert done.err.count("\n") == 1


async def test_what_cannot_be_known_of_a_room_is_no_bug_of_ours(host: Host) -> None:
    def closes(reply: Reply) -> Reply:
        raise trio.BrokenResourceError

    nested = replace(OK, body=b"[" * 100_000)
    for fault, status in (
        (Fault(what="it closes", asked="GET /messages", answer=closes), 69),
        (Fault(what="no document", asked="GET /messages", instead=nested), 0),
    ):
        async with open_faulty(host.served.port, fault) as port:
            url = f"http://127.0.0.1:{port}"
            words = ("conformance", url, *host.with_token, "--only", "healthz.here")
            done = await trio.to_thread.run_sync(partial(host.try_, *words))
        assert done.status == status, done.err


def test_a_signal_ends_a_run_and_leaves_no_seat(host: Host) -> None:
    process = host.start(*host.command("--only", "deadline."))
    eventually(lambda: len(host.roster()) > 1)
    process.send_signal(signal.SIGINT)
    assert ended(process).status == 130
    made = host.roster()
    assert made.pop("host") is False
    assert list(made.values()) == [True]


def test_a_terminal_is_told_how_far_it_is(host: Host) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    out, err = io.StringIO(), Screen()
    context = Context(Home(host.home), io.BytesIO(), out, err, host.environment)
    assert run_command(list(host.command(*ONLY)), context) == 0
    shown = err.getvalue().split("\r\x1b[K")
    assert shown[1:5] == [f"{n}/4 {name}" for n, name in enumerate(TRIED)]
    assert shown[-1] == ""
