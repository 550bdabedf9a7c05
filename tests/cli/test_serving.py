"""Serving: where it is found again, and what a host's other commands make of it."""

import json
import signal
from pathlib import Path

from tests.cli.outside.terminal import DEADLINE_SECONDS, Terminal, ended, next_line, texts

PUBLIC = "https://rooms.example/my-room"


def test_public_urls_are_remembered_until_they_are_taken_back(host: Terminal) -> None:
    served = host.serve("--url", PUBLIC)
    assert PUBLIC in host.json("room", "invite", "one")["card_command"]
    assert f'AG_BASE="{PUBLIC}"' in host.run("room", "invite-card", "one")
    assert host.seat()["baseUrl"] == served.url
    served.stop()
    assert f'AG_BASE="{PUBLIC}"' in host.run("room", "invite-card", "one")
    served = host.serve()
    assert PUBLIC in host.json("room", "invite", "two")["card_command"]
    served.stop()
    served = host.serve("--url", "none")
    assert f"{served.url}/card" in host.json("room", "invite", "three")["card_command"]
    assert f'AG_BASE="{served.url}"' in host.run("room", "invite-card", "three")


def test_the_url_of_room_start_is_public_where_it_is_not_this_machine(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home")
    terminal.run("room", "start", "demo", "--url", PUBLIC)
    served = terminal.serve()
    assert PUBLIC in terminal.json("room", "invite", "one")["card_command"]
    assert terminal.seat()["baseUrl"] == served.url
    terminal.close()


def test_nonsense_for_a_url_is_misuse(host: Terminal) -> None:
    for url in ("nonsense", "ftp://x", "https://u:p@rooms.example", "https://rooms.example?x"):
        assert "--url" in host.fails(2, "room", "serve", "--port", "0", "--url", url)


def test_the_same_up_again_is_no_mistake(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "home")
    for number in (1, 2):
        process = terminal.start("up", "--port", "0", "--brief", "Goal.", "--json")
        document = json.loads(next_line(process))
        assert document["room"] == "room"
        assert terminal.run("send", "host", "hi") == f"sent #{number} to @host\n"
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "", "")
    terminal.close()


def test_an_up_that_is_refused_leaves_no_room_and_selects_none(host: Terminal) -> None:
    served = host.serve()
    host.run("room", "start", "two")
    host.run("room", "use", "demo")
    port = ("--port", str(served.port))
    before = host.files()
    assert "port" in host.fails(1, "up", "other", "--brief", "Goal.", *port)
    assert "port" in host.fails(1, "up", "two", *port)
    host.fails(2, "up", "other", "--port", "0", "--tunnel", "nonsense")
    assert host.files() == before
    assert [one["room"] for one in host.json("room", "list")["rooms"]] == ["demo", "two"]
    host.run("send", "host", "still in demo")
    assert texts(host.log()) == ["@host still in demo"]


def test_an_up_of_a_room_that_is_served_already_says_so_and_does_not_select_it(
    host: Terminal,
) -> None:
    served = host.serve()
    host.run("room", "start", "two")
    said = f"demo is already served by process {served.process.pid}"
    # On its own port and on another one, which is free.
    for port in (str(served.port), "0"):
        assert said in host.fails(69, "up", "demo", "--port", port)
        assert said in host.fails(69, "room", "serve", "--room", "demo", "--port", port)
    assert host.seat()["roomId"] == "two"


def test_an_up_selects_its_room(host: Terminal) -> None:
    host.run("room", "start", "two")
    process = host.start("up", "demo", "--port", "0", "--json")
    assert json.loads(next_line(process))["room"] == host.seat()["roomId"] == "demo"


def test_a_closed_room_is_served_to_be_read_and_nobody_is_invited(host: Terminal) -> None:
    host.run("room", "close")
    up = host.start("up", "--port", "0")
    text = "\n".join(next_line(up) for _ in range(8))
    assert text.startswith("The room demo is closed; it can be read at http://127.0.0.1:")
    assert "agentgather export --output demo.md" in text
    assert "invite" not in text
    assert "attend" not in text
    up.terminate()
    assert ended(up).status == 0
    serving = host.start("room", "serve", "--port", "0")
    assert next_line(serving).endswith("; it is closed, and can be read and exported")
    serving.terminate()
    ended(serving)
    for command in (("up",), ("room", "serve")):
        process = host.start(*command, "--port", "0", "--json")
        assert json.loads(next_line(process))["room_status"] == "closed"
        process.terminate()
        ended(process)


def test_a_url_that_was_named_is_said_at_every_start(host: Terminal) -> None:
    process = host.start("room", "serve", "--port", "0", "--url", PUBLIC)
    assert next_line(process).endswith(f", public at {PUBLIC}")
    process.terminate()
    ended(process)
    process = host.start("up", "--port", "0")
    text = "\n".join(next_line(process) for _ in range(4))
    assert f"and for others at {PUBLIC}. You are" in text
    assert f"From elsewhere:    {PUBLIC}/#token=" in text
    process.terminate()
    ended(process)
    process = host.start("room", "serve", "--port", "0", "--json")
    document = json.loads(next_line(process))
    assert document["urls"] == [PUBLIC]
    # That one is a tunnel's.
    assert "public_url" not in document


def test_rooms_on_several_ports_do_not_mix(host: Terminal) -> None:
    host.serve()
    host.run("room", "start", "two")
    host.serve()
    host.run("send", "host", "in two")
    host.run("room", "use", "demo")
    host.run("send", "host", "in demo")
    assert texts(host.json_lines("messages")) == ["@host in demo"]
    assert texts(host.log("two")) == ["@host in two"]


def test_a_room_that_is_named_is_served_and_not_selected(host: Terminal) -> None:
    host.run("room", "start", "two")
    served = host.serve("--room", "demo")
    assert host.seat()["roomId"] == "two"
    # Its own seat knows where it is served now.
    host.run("room", "use", "demo")
    assert host.seat()["baseUrl"] == served.url
    host.run("send", "host", "in demo")
    assert texts(host.json_lines("messages")) == ["@host in demo"]


def test_a_room_that_is_named_needs_no_selected_one(host: Terminal) -> None:
    (host.home / "current-room.json").unlink()
    host.serve("--room", "demo").stop()
    assert not (host.home / "current-room.json").exists()


def test_a_room_that_is_named_has_to_be_hosted_here(host: Terminal) -> None:
    assert "no seat in other" in host.fails(1, "room", "serve", "--port", "0", "--room", "other")


def test_a_room_of_one_port_gives_way_to_another(host: Terminal) -> None:
    """A person who works on one port: the second room is changed though the first is served."""
    served = host.serve()
    host.run("room", "start", "two", "--url", served.url, "--brief", "old")
    host.run("room", "brief", "set", "new")
    assert "new" in host.run("room", "brief", "view")
    assert "taken" in host.fails(1, "room", "serve", "--port", str(served.port))


def test_attending_begins_before_there_is_a_server(host: Terminal) -> None:
    attending = host.start("attend", "--json")
    assert attending.stderr is not None
    assert "host away, retrying" in attending.stderr.readline()
    host.serve()
    assert attending.stderr.readline() == "agentgather: back\n"
    host.run("send", "host", "hi")
    assert json.loads(next_line(attending))["text"] == "@host hi"
    host.run("room", "close")
    assert attending.wait(DEADLINE_SECONDS) == 0


def test_a_signal_during_a_request_through_the_files_waits_for_its_end(host: Terminal) -> None:
    """It is stored or it is not, and what was stored has been said."""
    process = host.start("send", "host", "hi")
    process.send_signal(signal.SIGTERM)
    done = ended(process)
    log = texts(host.log())
    if done.status == 0:
        assert (log, done.out) == (["@host hi"], "sent #1 to @host\n")
    else:
        # Before the handler is there, the signal ends the process itself.
        assert done.status in (143, -signal.SIGTERM)
        assert log in ([], ["@host hi"])
        assert done.err == ""
