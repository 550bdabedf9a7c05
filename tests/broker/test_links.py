"""Where hosts connect: who is let in, who is not, and what ends a link."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.broker.quota import Quotas
from agentgather.link.handshake import RegistrationRefused, register
from agentgather.link.proof import owner_of, prove
from agentgather.wire.limits import (
    FAULT_PAUSE_SECONDS,
    MAX_CONTROL_BURST,
    MAX_FRAME_BYTES,
    MAX_PENDING,
    MAX_PENDING_PER_CLIENT,
    NOTES_PER_REGISTRATION,
    REGISTER_SECONDS,
    REGISTRATIONS_PER_HOUR,
    RESPONSE_CREDIT_BYTES,
    VAIN_HANDSHAKES_PER_WINDOW,
    VAIN_WAIT_SECONDS,
)
from agentgather.wire.link import (
    CLOSE_CODES,
    NONCE_BYTES,
    Challenge,
    Data,
    FromHost,
    GoingAway,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    Request,
    Reset,
    Window,
    decode_from_broker,
    encode_frame,
)
from tests.doubles.broker_stage import (
    ADA,
    EVE,
    JSON_FIELDS,
    OTHER_SECRET,
    PUBLIC,
    SECRET,
    RawHost,
    Stage,
    echo,
    open_stage,
    response,
    settled,
)
from tests.doubles.clock import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened


async def refusal(stage: Stage, **options: Any) -> Refused:
    """Try to register in vain."""
    address = options.pop("address", ADA)
    socket = await stage.socket(address=address)
    with pytest.raises(RegistrationRefused) as caught:
        await register(socket.line, **{"slug": "demo", "secret": SECRET, **options})
    await settled()
    assert socket.line.closed is not None
    assert socket.line.closed.code == CLOSE_CODES.get(caught.value.refused.code, 1000)
    await socket.over.wait()
    return caught.value.refused


def nobody_is_public(stage: Stage, slug: str = "demo") -> bool:
    return len(stage.broker.routes) == 0 and len(stage.broker.links) == 0


# --- The handshake --------------------------------------------------------------------------
async def test_a_host_is_told_where_its_room_is_and_for_how_long(stage: Stage) -> None:
    host = await stage.host()
    assert host.registered == Registered(
        public_url=f"{PUBLIC}/demo", lease_seconds=900, lifetime_seconds=28_800
    )
    await trio.sleep(100)
    again = await stage.host()
    assert again.registered.lifetime_seconds == 28_700


@pytest.mark.parametrize("offer", [(), ("agentgather-link.2",), ("chat", "agentgather-link")])
async def test_another_form_of_the_link_is_refused_before_the_acceptance(
    stage: Stage, offer: tuple[str, ...]
) -> None:
    socket = await stage.socket(subprotocols=offer)
    assert socket.denied is not None
    assert socket.denied.outcome == (400, "invalid_registration")
    assert "agentgather-link.1" in socket.denied.json()["message"]


@pytest.mark.parametrize("path", ["/_host/link/", "/demo/link", "/", "/_host", "/_host/register"])
async def test_there_is_one_path_for_links(stage: Stage, path: str) -> None:
    denied = (await stage.socket(path=path)).denied
    assert denied is not None
    assert denied.outcome == (404, "not_found")


@pytest.mark.hostile("O05")
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "insecure_remote"),
        ({"host": "evil.example"}, "insecure_remote"),
        ({"host": "rooms.example", "origin": "https://evil.example"}, "bad_origin"),
        ({"host": "rooms.example", "origin": "null"}, "bad_origin"),
    ],
)
async def test_a_page_of_elsewhere_opens_no_link(
    stage: Stage, headers: dict[str, str], code: str
) -> None:
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    denied = (await stage.socket(headers=pairs)).denied
    assert denied is not None
    assert denied.outcome == (403, code)


@pytest.mark.hostile("W01")
async def test_a_host_that_does_not_register_is_let_go(stage: Stage) -> None:
    socket = await stage.socket()
    started = trio.current_time()
    end = await RawHost(socket).close()
    assert (end.code, end.reason) == (4408, "heartbeat_timeout")
    assert trio.current_time() - started == pytest.approx(REGISTER_SECONDS, abs=0.2)
    await socket.over.wait()


@pytest.mark.hostile("W01")
async def test_those_who_do_not_register_are_bounded(stage: Stage) -> None:
    sockets = [await stage.socket() for _ in range(MAX_PENDING_PER_CLIENT)]
    assert (await stage.socket(address=EVE)).denied is None
    denied = (await stage.socket()).denied
    assert denied is not None
    assert denied.outcome == (503, "overloaded")
    assert int(denied.headers["retry-after"]) >= 1
    sockets[0].line.cut()
    await settled()
    assert (await stage.socket()).denied is None


@pytest.mark.hostile("W06")
async def test_silent_addresses_shut_no_host_out(stage: Stage) -> None:
    """However many places two of them hold: whoever comes from elsewhere gets one of theirs."""
    silent = [await stage.socket() for _ in range(MAX_PENDING_PER_CLIENT)]
    for _ in range(MAX_PENDING - MAX_PENDING_PER_CLIENT):
        await stage.socket(address=EVE)
    await stage.host(address="203.0.113.1")
    assert (await stage.ask("GET", "/demo/status")).status == 200
    await silent[0].over.wait()
    assert silent[0].line.closed is not None
    assert silent[0].line.closed.code == CLOSE_CODES["heartbeat_timeout"]
    assert not silent[1].over.is_set()


async def test_a_host_that_leaves_before_it_registers_leaves_nothing(stage: Stage) -> None:
    for code in (1000, 1006, 4400):
        socket = await stage.socket()
        socket.line.cut(code)
        await socket.over.wait()
    host = RawHost(await stage.socket())
    await host.claim()
    host.line.cut()
    await host.socket.over.wait()
    await settled()
    assert len(stage.broker.links) == 0


async def seconds_until_accepted(stage: Stage, address: str = ADA) -> float:
    """Come, and leave again at once."""
    started = trio.current_time()
    socket = await stage.socket(address=address)
    socket.line.cut()
    await socket.over.wait()
    return trio.current_time() - started


@pytest.mark.hostile("W06", "W11")
async def test_who_came_in_vain_too_often_is_let_in_late(stage: Stage) -> None:
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        assert await seconds_until_accepted(stage) < 1
    assert await seconds_until_accepted(stage) == pytest.approx(VAIN_WAIT_SECONDS, abs=0.1)
    assert await seconds_until_accepted(stage, EVE) < 1
    # Whoever means it, behind the same address, only has to wait.
    started = trio.current_time()
    await stage.host()
    assert trio.current_time() - started == pytest.approx(VAIN_WAIT_SECONDS, abs=0.1)
    assert (await stage.ask("GET", "/demo/status")).status == 200
    assert 'rate_limited_total{kind="handshake"} 2.0' in stage.broker.metrics.render().decode()


async def test_hosts_that_come_and_register_are_never_late(stage: Stage) -> None:
    """Hundreds come back at once after a restart, and all of them may share one address."""
    started = trio.current_time()
    for number in range(3 * VAIN_HANDSHAKES_PER_WINDOW):
        await stage.host(slug=f"room-{number}")
    assert trio.current_time() - started < 1


# --- The proof ------------------------------------------------------------------------------
def some_bytes(byte: int) -> bytes:
    return bytes([byte]) * 32


BAD_PROOFS: dict[str, dict[str, Any]] = {
    "none": {"proof": bytes(32)},
    "any": {"proof": some_bytes(7)},
    "another secret's": {"proof": prove(OTHER_SECRET, "demo", bytes(NONCE_BYTES))},
    "the owner for a proof": {"proof": owner_of(SECRET)},
    "another owner": {"owner": owner_of(OTHER_SECRET)},
}


@pytest.mark.hostile("T01")
@pytest.mark.parametrize("what", BAD_PROOFS)
async def test_a_proof_that_is_not_good_claims_nothing(stage: Stage, what: str) -> None:
    host = RawHost(await stage.socket())
    await host.claim(**BAD_PROOFS[what])
    refused = await host.hear(Refused)
    assert (refused.code, refused.retry_after_s) == ("slug_forbidden", None)
    end = await host.close()
    assert (end.code, end.reason) == (4401, "slug_forbidden")
    assert nobody_is_public(stage)
    assert (await stage.ask("GET", "/demo")).whole().error == "route_not_found"


@pytest.mark.hostile("T01")
async def test_a_proof_is_good_once(stage: Stage) -> None:
    """Whoever has read a registration cannot use it again: it is about one nonce."""
    first = RawHost(await stage.socket())
    nonce = (await first.hear(Challenge)).nonce
    claim = Register(slug="demo", owner=owner_of(SECRET), proof=prove(SECRET, "demo", nonce))
    await first.say(claim)
    await first.hear(Registered)
    thief = RawHost(await stage.socket(address=EVE))
    assert (await thief.hear(Challenge)).nonce != nonce
    await thief.say(claim)
    assert (await thief.hear(Refused)).code == "slug_forbidden"
    await first.say(Ping(id=1))
    assert (await first.hear(Pong)).id == 1, "the owner's link is untouched"


@pytest.mark.hostile("T01")
async def test_a_proof_is_for_one_slug(stage: Stage) -> None:
    host = RawHost(await stage.socket())
    nonce = (await host.hear(Challenge)).nonce
    proof = prove(SECRET, "demo", nonce)
    await host.say(Register(slug="other", owner=owner_of(SECRET), proof=proof))
    assert (await host.hear(Refused)).code == "slug_forbidden"
    assert nobody_is_public(stage)


@pytest.mark.hostile("T01")
async def test_another_secret_does_not_get_a_slug_that_is_taken(stage: Stage) -> None:
    host = await stage.host()
    refused = await refusal(stage, secret=OTHER_SECRET, address=EVE)
    assert (refused.code, refused.retry_after_s) == ("route_slug_taken", None)
    await settled()
    assert host.end is None
    assert (await stage.ask("GET", "/demo/status")).status == 200


@pytest.mark.hostile("B07")
@pytest.mark.parametrize(
    "slug",
    [
        *("", "_host", "api", "assets", ".well-known", "robots.txt", "favicon.ico", "healthz"),
        *("xn--abc", "Demo", "a" * 64, "a--b", "-a", "a-", "a_b", "a b", "a/b", "a%2fb", "demo\n"),
        *(
            "agentgather",
            "agent-gather",
            "agentgaher0-agentg4ther",
            "дemo",
            "demo\u200b",
            "..",
            ".",
        ),
        *("metrics", "admin", "login", "broker", "x" * 128),
    ],
)
async def test_a_slug_that_is_none_is_refused(stage: Stage, slug: str) -> None:
    refused = await refusal(stage, slug=slug)
    assert (refused.code, refused.retry_after_s) == ("invalid_registration", None)
    assert nobody_is_public(stage)


@pytest.mark.hostile("T08")
async def test_what_is_no_registration_ends_the_connection(stage: Stage) -> None:
    frames: list[bytes | str] = [
        "text",
        "",
        b"",
        b"\xc1",
        b"\x80",
        b"\xff" * 100,
        b"\x81\xa1t\xa8register",
        encode_frame(Ping(id=1)),
        encode_frame(Challenge(nonce=bytes(NONCE_BYTES))),
        encode_frame(Data(stream=1, data=b"x")),
        # A length of 4 GiB, of which nothing comes.
        b"\x82\xa1t\xa8register\xa4slug\xdb\xff\xff\xff\xffdemo",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 60_000,
    ]
    for frame in frames:
        socket = await stage.socket()
        socket._theirs.put(frame)
        end = await RawHost(socket).close()
        assert (end.code, end.reason) == (4400, "bad_frame"), frame[:20]
        await socket.over.wait()
    assert nobody_is_public(stage)


@pytest.mark.hostile("B01")
async def test_a_registration_with_more_fields_than_we_know_is_one(stage: Stage) -> None:
    """What an older program called its target means nothing here."""
    host = RawHost(await stage.socket())
    nonce = (await host.hear(Challenge)).nonce
    claim = Register(slug="demo", owner=owner_of(SECRET), proof=prove(SECRET, "demo", nonce))
    encoded = encode_frame(claim)
    assert encoded[0] == 0x84
    more = b"\xa6target\xb6http://169.254.169.254" + b"\xa3new\x93\x01\x02\x03"
    await host.line.send(b"\x86" + encoded[1:] + more)
    await host.hear(Registered)


# --- Registration tokens, and quotas --------------------------------------------------------
async def test_with_tokens_only_who_has_one_registers(tmp_path: Path) -> None:
    async with open_stage(tmp_path, needs_token=True) as stage:
        _, token = stage.state.add_token("ops", now_wall_s=0)
        for wrong in ("", "agr_", "agr_" + "x" * 43, token[:-1], token + "x", token.upper()):
            refused = await refusal(stage, registration_token=wrong)
            assert (refused.code, refused.retry_after_s) == ("slug_forbidden", None)
            assert "token" in refused.message
        assert nobody_is_public(stage)
        host = await stage.host(registration_token=token)
        assert host.registered.public_url == f"{PUBLIC}/demo"
        # It is asked for at each return: a token that was revoked keeps nobody in.
        assert (await refusal(stage)).code == "slug_forbidden"


@pytest.mark.hostile("B18")
async def test_a_disk_that_takes_nothing_turns_away_claims_and_no_returning_host(
    tmp_path: Path,
) -> None:
    async with open_stage(tmp_path, needs_token=True) as stage:
        _, token = stage.state.add_token("ops", now_wall_s=0)
        _, fresh = stage.state.add_token("new", now_wall_s=0)
        await stage.host(registration_token=token)
        stage.state._connection.execute("PRAGMA query_only = ON")
        # The day of this token's first use cannot be noted.
        await stage.host(registration_token=fresh)
        refused = await refusal(stage, slug="other", registration_token=fresh)
        assert (refused.code, refused.retry_after_s) == ("storage_failed", 60)
        assert [one.last_used_day is None for one in stage.state.list_tokens()] == [False, True]


async def test_a_client_registers_5_rooms_and_an_owners_return_is_free(tmp_path: Path) -> None:
    async with open_stage(tmp_path, quotas=Quotas()) as stage:
        for number in range(5):
            await stage.host(echo, f"room-{number}")
        refused = await refusal(stage, slug="room-5")
        assert refused.code == "rate_limited"
        assert refused.retry_after_s is not None
        assert refused.retry_after_s >= 1
        for _ in range(50):
            await stage.host(echo, "room-0")
        await stage.host(echo, "room-5", address=EVE)


@pytest.mark.hostile("B02")
async def test_failed_registrations_count_and_then_nobody_is_asked_for_a_proof_any_more(
    tmp_path: Path,
) -> None:
    async with open_stage(tmp_path, quotas=Quotas()) as stage:
        codes = []
        for number in range(25):
            host = RawHost(await stage.socket())
            await host.claim(f"room-{number}", proof=bytes(32))
            codes.append((await host.hear(Refused)).code)
        assert set(codes) <= {"slug_forbidden", "rate_limited"}
        assert (await refusal(stage)).code == "rate_limited"
        await stage.host(echo, "fine", address=EVE)


@pytest.mark.slow
@pytest.mark.hostile("B02")
async def test_a_flood_of_claims_takes_20_slugs_an_hour_and_5_at_once(tmp_path: Path) -> None:
    """And what they leave goes."""
    flood = 10_000
    idle = flood * VAIN_WAIT_SECONDS
    async with open_stage(tmp_path, quotas=Quotas(), idle_seconds=idle) as stage:
        for number in range(flood):
            host = RawHost(await stage.socket())
            await host.claim(f"room-{number}")
            answer = decode_from_broker(await host.line.receive())
            if isinstance(answer, Refused):
                assert answer.code == "rate_limited"
            host.line.cut()
        await settled()
        assert len(stage.broker.routes) == 5
        await trio.sleep(idle + 10)
        assert len(stage.broker.routes) == 0
        assert stage.state.load_leases() == []


async def test_a_slug_is_leased_without_serving_it(stage: Stage) -> None:
    socket = await stage.socket()
    await register(socket.line, slug="demo", secret=SECRET, claim_only=True)
    await settled()
    assert socket.line.closed is not None
    assert socket.line.closed.code == 1000
    status = (await stage.ask("GET", "/demo")).whole().json()
    assert (status["status"], status["host_connected"]) == ("active", False)
    assert (await refusal(stage, secret=OTHER_SECRET)).code == "route_slug_taken"
    await stage.host()


async def test_a_claim_without_serving_does_not_end_the_link_that_serves(stage: Stage) -> None:
    host = await stage.host()
    socket = await stage.socket()
    await register(socket.line, slug="demo", secret=SECRET, claim_only=True)
    await settled()
    assert host.end is None
    assert (await stage.ask("GET", "/demo/status")).status == 200


# --- Frames that end a link -----------------------------------------------------------------
OVER: dict[str, tuple[list[FromHost], str]] = {
    "T05 data of a stream that never was": ([Data(stream=9, data=b"x")], "bad_frame"),
    "T05 an answer to what was not asked": ([response(9, b"x")], "bad_frame"),
    "T05 credit for a stream that never was": ([Window(stream=9, credit=1)], "bad_frame"),
    "T05 a reset of a stream that never was": ([Reset(stream=9, code="cancelled")], "bad_frame"),
    "T07 more than there was credit for": (
        # What was taken at once may have given credit anew, and four times as much.
        [response(1, b"x" * 16384, end=False), *[Data(stream=1, data=b"x" * 32768)] * 4],
        "flow_control",
    ),
    "T08 data without data": (
        [response(1, end=False), Data(stream=1)],
        "bad_frame",
    ),
    "a second registration": (
        [Register(slug="demo", owner=some_bytes(1), proof=some_bytes(2))],
        "bad_frame",
    ),
}


@pytest.mark.hostile("T05", "T07", "T08")
@pytest.mark.parametrize("what", OVER)
async def test_what_no_sound_host_sends_ends_its_link_and_no_other(stage: Stage, what: str) -> None:
    frames, code = OVER[what]
    host = await stage.raw_host()
    await stage.host(echo, "other", secret=OTHER_SECRET, address=EVE)
    going = stage.start("POST", "/demo/messages", body=b"{}")
    going.stall = True
    await host.hear(Request)
    started = trio.current_time()
    await host.say(*frames)
    end = await host.close()
    assert (end.code, end.reason) in {(CLOSE_CODES[code], code)}
    assert trio.current_time() - started <= 1
    going.stall = False
    going.take()
    status, error = await going.outcome()
    assert (status, error) in {(504, "host_unavailable"), (200, "aborted")}
    assert (await stage.ask("GET", "/other/status")).status == 200
    await host.socket.over.wait()
    assert len(stage.broker.links) == 1


@pytest.mark.hostile("T07", "T08", "T09")
@pytest.mark.parametrize(
    "frame",
    [
        "text",
        "",
        b"",
        b"\xff",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x82\xa1t\xa6window\xa6stream\x01",
        b"\x83\xa1t\xa6window\xa6stream\x01\xa6credit\x00",
        b"\x83\xa1t\xa6window\xa6stream\x01\xa6credit\xff",
        b"\x83\xa1t\xa6window\xa6stream\x01\xa6credit\xcf" + b"\xff" * 8,
        b"\x83\xa1t\xa8response\xa6stream\x01\xa6status\xa1x",
        b"\x83\xa1t\xa8response\xa6stream\x01\xa6status\xc0",
        b"\x82\xa1t\xa8response\xa6stream\x01",
        b"\x83\xa1t\xa4data\xa6stream\x01\xa4data\xc6\xff\xff\xff\xff",
        b"\x83\xa1t\xa5reset\xa6stream\x01\xa4code\xa3A B",
        encode_frame(Challenge(nonce=bytes(NONCE_BYTES))),
        encode_frame(Request(stream=1, method="GET", path=b"/")),
    ],
)
async def test_garbage_ends_its_link(stage: Stage, frame: bytes | str) -> None:
    host = await stage.raw_host()
    going = stage.start("GET", "/demo/status")
    await host.hear(Request)
    host.socket._theirs.put(frame)
    end = await host.close()
    assert (end.code, end.reason) == (4400, "bad_frame")
    assert await going.outcome() == (504, "host_unavailable")


@pytest.mark.hostile("T08")
@pytest.mark.parametrize(("over", "is_good"), [(0, True), (1, False)])
async def test_a_frame_has_at_most_64_kib(stage: Stage, over: int, is_good: bool) -> None:
    host = await stage.raw_host()
    frame = encode_frame(Ping(id=3))
    # Padded with a key that nobody knows.
    pad = MAX_FRAME_BYTES + over - len(frame) - len(b"\xa1x\xc5\x00\x00")
    message = bytes([frame[0] + 1]) + frame[1:] + b"\xa1x\xc5" + pad.to_bytes(2, "big") + bytes(pad)
    assert len(message) == MAX_FRAME_BYTES + over
    host.socket._theirs.put(message)
    if is_good:
        assert (await host.hear(Pong)).id == 3
    else:
        assert (await host.close()).code == 4400


@pytest.mark.hostile("W06", "T08")
async def test_a_flood_of_pings_ends_its_link(stage: Stage) -> None:
    host = await stage.raw_host()
    await stage.host(echo, "other", secret=OTHER_SECRET, address=EVE)
    flood = encode_frame(Ping(id=1))
    sent = 0
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            end = await host.close()
            assert end.code == 4429
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        while True:
            host.socket._theirs.put(flood)
            sent += 1
            await trio.lowlevel.checkpoint()
    assert sent <= 2 * MAX_CONTROL_BURST
    assert (await stage.ask("GET", "/other/status")).status == 200


FAULTS: dict[str, list[FromHost]] = {
    "rate_limited": [Ping(id=1)] * (MAX_CONTROL_BURST + 1),
    "bad_frame": [Data(stream=1, data=b"x")],
    "flow_control": [],  # see below
}


@pytest.mark.hostile("W06")
@pytest.mark.parametrize("code", FAULTS)
async def test_after_a_fault_its_host_stays_away_and_others_come_as_ever(
    stage: Stage, code: str
) -> None:
    host = await stage.raw_host()
    for frame in FAULTS[code]:
        host.socket._theirs.put(encode_frame(frame))
    if code == "flow_control":
        stage.start("GET", "/demo/status")
        asked = await host.hear(Request)
        await host.say(response(asked.stream, bytes(RESPONSE_CREDIT_BYTES + 1)))
    # It is so from that moment, whether the host has taken its leave or not.
    await settled()
    started = trio.current_time()
    refused = await refusal(stage, address=EVE)
    assert (refused.code, refused.retry_after_s) == ("rate_limited", FAULT_PAUSE_SECONDS)
    await stage.host(slug="other", secret=OTHER_SECRET)
    await trio.sleep(FAULT_PAUSE_SECONDS - (trio.current_time() - started))
    assert (await stage.host()).end is None


@pytest.mark.hostile("W06")
async def test_who_leaves_just_before_it_would_be_cut_has_won_nothing(
    stage: Stage,
) -> None:
    """What a host may send without reason is the route's, and not each link's anew."""
    for _ in range(2):
        host = await stage.raw_host()
        for _ in range(MAX_CONTROL_BURST * 3 // 4):
            host.socket._theirs.put(encode_frame(Pong(id=1)))
        await settled()
        host.line.cut()
        await settled()
    assert (await refusal(stage)).code == "rate_limited"


@pytest.mark.parametrize("code", ["", "going_away", "heartbeat_timeout"])
async def test_a_host_whose_link_just_ends_may_come_back_at_once(stage: Stage, code: str) -> None:
    for _ in range(50):
        host = await stage.raw_host()
        if code == "going_away":
            await host.say(GoingAway(code=code))
        host.line.cut(CLOSE_CODES.get(code, 1006), code)
        await settled()
    assert (await stage.host()).end is None


@pytest.mark.hostile("T20")
async def test_a_host_that_reads_nothing_is_cut_off(stage: Stage) -> None:
    host = await stage.raw_host()
    goings = [stage.start("GET", "/demo/status") for _ in range(20)]
    await settled()
    started = trio.current_time()
    for going in goings:
        assert await going.outcome() == (504, "host_unavailable")
    assert trio.current_time() - started <= 35
    await host.socket.over.wait()
    assert len(stage.broker.links) == 0


# --- What is noted --------------------------------------------------------------------------
async def test_links_are_noted_with_their_end_and_nothing_that_the_host_chose(
    stage: Stage,
) -> None:
    host = await stage.raw_host()
    await host.say(GoingAway(code="my_secret_word"))
    host.line.cut(4000, "my secret reason")
    await settled()
    await stage.raw_host(secret=SECRET)
    await trio.sleep(1)
    text = stage.log.data.decode()
    events = [line["event"] for line in stage.log.lines]
    assert events == ["register", "link_open", "link_end", "register", "link_open"]
    assert "secret" not in text
    assert "demo" not in text
    [_, opened, ended, *_] = stage.log.lines
    assert opened["route_hash"] == ended["route_hash"]


async def test_registrations_are_noted_without_slug_token_or_address(tmp_path: Path) -> None:
    async with open_stage(tmp_path, needs_token=True) as stage:
        _, token = stage.state.add_token("ops", now_wall_s=0)
        socket = await stage.socket()
        await register(
            socket.line, slug="demo", secret=SECRET, registration_token=token, claim_only=True
        )
        await refusal(stage, secret=OTHER_SECRET, registration_token=token, address=EVE)
        await refusal(stage, slug="x" * 63, registration_token="agr_junk")
        await refusal(stage, slug="My secret words", registration_token=token)
        host = RawHost(await stage.socket())
        await host.claim(proof=bytes(32))
        await host.hear(Refused)
        host.line.cut()
        await trio.sleep(1)
        [claimed, taken, forbidden, invalid, unproven] = stage.log.lines
        route = claimed["route_hash"]
        assert claimed == {"event": "register", "route_hash": route, "duration_ms": 0}
        assert taken == {"event": "register", "route_hash": route, "error": "route_slug_taken"}
        assert forbidden.pop("route_hash") not in (route, None)
        assert forbidden == {"event": "register", "error": "slug_forbidden"}
        # What is no slug is not even hashed, and who proved nothing claimed none.
        assert invalid == {"event": "register", "error": "invalid_registration"}
        assert unproven == {"event": "register", "error": "slug_forbidden"}
        for secret in ("demo", "xxx", "agr_", "words", ADA, EVE):
            assert secret not in stage.log.data.decode()


@pytest.mark.hostile("B02")
async def test_a_flood_of_registrations_writes_a_bounded_log(tmp_path: Path) -> None:
    async with open_stage(tmp_path, quotas=Quotas()) as stage:
        for number in range(500):
            host = RawHost(await stage.socket())
            await host.claim(f"room-{number}", proof=bytes(32))
            await host.hear(Refused)
            host.line.cut()
        await trio.sleep(1)
        assert len(stage.log.lines) == NOTES_PER_REGISTRATION * REGISTRATIONS_PER_HOUR


async def test_an_answer_of_a_link_that_is_over_goes_nowhere(stage: Stage) -> None:
    old = await stage.raw_host()
    going = stage.start("GET", "/demo/status")
    request = await old.hear(Request)
    new = await stage.raw_host()
    assert await going.outcome() == (504, "host_unavailable")
    going = stage.start("GET", "/demo/status")
    asked = await new.hear(Request)
    assert asked.stream == request.stream, "numbers are looked up in the link they came from"
    old.socket._theirs.put(encode_frame(response(request.stream, b"old", headers=JSON_FIELDS)))
    await settled()
    await new.say(response(asked.stream, b"new"))
    assert await going.outcome() == (200, "ok")
    assert going.body == b"new"
