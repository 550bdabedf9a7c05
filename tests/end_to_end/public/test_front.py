"""Behind Caddy: HTTPS, streams, addresses, and what nobody may write down."""

import json
import time

import pytest

from tests.end_to_end.public.front import Front
from tests.end_to_end.public.host import Host
from tests.end_to_end.terminal import eventually

A_MINUTES_REQUESTS = 60
AT_ONCE_SECONDS = 4
"""Far below the 15 s of a heartbeat, which is when a stream that is kept back would show."""


@pytest.fixture(scope="module")
def room(front: Front) -> Host:
    """A room that is public."""
    host = front.host("demo")
    assert host.opens() == f"{front.url}/demo"
    return host


def test_https_is_outside_and_what_is_inside_stays_there(front: Front, room: Host) -> None:
    answer = front.curl(f"{front.url}/demo")
    assert answer.json["host_connected"] is True
    assert answer.fields["strict-transport-security"].startswith("max-age=")
    assert answer.fields["x-content-type-options"] == "nosniff"
    assert "server" not in answer.fields
    assert "alt-svc" not in answer.fields
    assert front.curl(f"{front.url}/healthz").json == {"ok": True}
    for path in ("/metrics", "/debug/vars", "/config/apps"):
        assert front.curl(f"{front.url}{path}").status == 404
    assert front.caddy.has_said("admin endpoint disabled")
    # The host came in by HTTPS too, and the broker saw a link.
    assert front.broker.metric("links") >= 1


def test_an_event_stream_is_there_at_once_and_so_is_each_event(front: Front, room: Host) -> None:
    began = time.monotonic()
    stream = front.curl.start(f"{front.url}/demo/events?since_id=0", token=room.token)
    try:
        assert stream.stdout is not None
        assert stream.stdout.readline() == "event: status\n"
        assert time.monotonic() - began < AT_ONCE_SECONDS
        posted = front.curl(
            f"{front.url}/demo/messages", token=room.token, body={"text": "at once"}
        )
        assert posted.status == 201
        acknowledged = time.monotonic()
        while "at once" not in stream.stdout.readline():
            pass
        assert time.monotonic() - acknowledged < AT_ONCE_SECONDS
    finally:
        stream.kill()
        stream.communicate()


@pytest.mark.hostile("H29")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("path", ["wait", "events"])
def test_who_leaves_keeps_no_place(front: Front, room: Host, version: str, path: str) -> None:
    eventually(lambda: front.broker.metric("waits_held") == 0)
    end = front.curl(f"{front.url}/demo/messages?since_id=0", token=room.token).json
    url = f"{front.url}/demo/{path}?since_id={end['next_since_id']}"
    waiting = front.curl.start(url, version, token=room.token)
    eventually(lambda: front.broker.metric("waits_held") == 1)
    began = time.monotonic()
    waiting.kill()
    waiting.communicate()
    eventually(lambda: front.broker.metric("waits_held") == 0)
    assert time.monotonic() - began < AT_ONCE_SECONDS


@pytest.mark.hostile("A02", "O06")
def test_a_token_is_good_in_its_own_room_and_for_its_own_origin(front: Front, room: Host) -> None:
    other = front.host("other")
    other.opens()
    for slug, token in (("other", room.token), ("demo", other.token)):
        answer = front.curl(f"{front.url}/{slug}/messages?since_id=0", token=token)
        assert (answer.status, answer.error) == (403, "forbidden")
    for origin, status in ((front.url, 200), ("https://evil.example", 403), ("null", 403)):
        answer = front.curl(
            f"{front.url}/demo/messages?since_id=0",
            "--header",
            f"Origin: {origin}",
            token=room.token,
        )
        assert answer.status == status
        assert not any(name.startswith("access-control") for name in answer.fields)


def test_a_body_that_is_too_long_is_refused_in_the_same_words(front: Front, room: Host) -> None:
    for length in (70_000, 200_000):
        answer = front.curl(
            f"{front.url}/demo/messages", token=room.token, body={"text": "a" * length}
        )
        assert (answer.status, answer.error) == (413, "request_too_large")
        assert answer.json["message"] == "The body is over 64 KiB."


@pytest.mark.hostile("R04", "R05")
def test_two_clients_behind_caddy_have_a_budget_each(front: Front, room: Host) -> None:
    def strangers(address: str, path: str, *further: str) -> list[int]:
        return front.curl.statuses(f"{front.url}{path}", "--interface", address, *further)

    page = "/demo/assets/icon.svg"
    spent = strangers("127.0.0.2", f"{page}?[1-{A_MINUTES_REQUESTS + 5}]")
    assert spent == [200] * A_MINUTES_REQUESTS + [429] * 5
    # What a client says of itself changes nothing.
    for forged in ("198.51.100.7", "127.0.0.9, 198.51.100.8", "::1"):
        assert strangers("127.0.0.2", page, "--header", f"X-Forwarded-For: {forged}") == [429]
        further = ("--header", f"Forwarded: for={forged}", "--header", f"X-Real-IP: {forged}")
        assert strangers("127.0.0.2", page, *further) == [429]
    refused = front.curl(f"{front.url}{page}", "--interface", "127.0.0.2")
    assert refused.error == "rate_limited"
    assert int(refused.fields["retry-after"]) >= 1
    # Another client is another client, and who has a token comes in from anywhere.
    assert strangers("127.0.0.3", page) == [200]
    came = front.curl(f"{front.url}/demo/status", "--interface", "127.0.0.2", token=room.token)
    assert came.status == 200


@pytest.mark.hostile("R08")
def test_who_guesses_names_or_tokens_is_stopped(front: Front, room: Host) -> None:
    guesses = front.curl.statuses(f"{front.url}/guess-[1-300]", "--interface", "127.0.0.4")
    assert guesses == [404] * A_MINUTES_REQUESTS + [429] * (300 - A_MINUTES_REQUESTS)
    # The room itself is tired of bad tokens after thirty, whoever shows them.
    junk = front.curl.statuses(
        f"{front.url}/demo/messages?since_id=[1-100]", "--interface", "127.0.0.5", token="agp_junk"
    )
    assert set(junk) <= {403, 429}
    assert junk[A_MINUTES_REQUESTS:] == [429] * (100 - A_MINUTES_REQUESTS)
    from_there = front.curl(
        f"{front.url}/demo/messages?since_id=0", "--interface", "127.0.0.5", token=room.token
    )
    assert from_there.status == 200


@pytest.mark.hostile("B19")
def test_nobody_wrote_down_a_secret_also_where_something_failed(front: Front, room: Host) -> None:
    ada = room.invite("ada", "human")
    card = f"{front.url}/demo/card?participant=ada&token={ada['token']}"
    assert front.curl(card).status == 200
    front.broker.kill()
    # Caddy answers in the broker's stead, and logs what went wrong.
    for _ in range(3):
        answer = front.curl(card)
        assert (answer.status, answer.error) == (503, "shutting_down")
        assert int(answer.fields["retry-after"]) >= 1
        assert answer.fields["content-type"] == "application/json; charset=utf-8"
        assert answer.fields["cache-control"] == "no-store"
    front.broker.start()
    eventually(lambda: front.broker.metric("links") == len(front.hosts))
    assert front.curl(card).status == 200

    written = front.all_output()
    secrets = {ada["token"], *(secret for host in front.hosts for secret in host.secrets())}
    assert len(secrets) >= 4
    assert [secret for secret in secrets if secret in written] == []
    assert [
        word for word in ("since_id", "at once", "guess-1", "127.0.0.2") if word in written
    ] == []
    # Nor is a room named.
    assert "/demo" not in written
    keys = set().union(*(line.keys() for line in front.broker.log()))
    assert keys <= {
        "event",
        "route_hash",
        "method",
        "path_class",
        "status",
        "duration_ms",
        "bytes_in",
        "bytes_out",
        "wait_held_ms",
        "error",
    }
    assert json.dumps(front.broker.log()).count("rate_limited") > 0
