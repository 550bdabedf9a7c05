"""From an open WebSocket to a registered link."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agentgather.link.handshake import RegistrationRefused, receive_claim, register
from agentgather.link.proof import owner_of, prove
from agentgather.link.transport import LinkClosed
from agentgather.wire.errors import PeerViolation, Rejected
from agentgather.wire.link import (
    Challenge,
    Ping,
    Refused,
    Register,
    Registered,
    Request,
    decode_from_host,
    encode_frame,
)
from tests.doubles.link_line import LineEnd, line

SECRET = "agh_" + "s" * 43
NONCE = bytes(range(32))
REGISTERED = Registered(public_url="https://x/demo", lease_seconds=900, lifetime_seconds=28_800)


async def outcome_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Give what a coroutine function returns, or what it raises."""
    try:
        return await function(*args, **kwargs)
    except Exception as error:
        return error


async def both(broker_answers: list[bytes | str]) -> tuple[Any, Any, LineEnd]:
    """Let a host register with a broker that then answers so; give what came of it at each."""
    ours, theirs = line()
    outcomes: dict[str, Any] = {}

    async def host() -> None:
        outcomes["host"] = await outcome_of(
            register, theirs, slug="demo", secret=SECRET, registration_token="agr_x"
        )

    async with trio.open_nursery() as running:
        running.start_soon(host)
        outcomes["broker"] = await outcome_of(receive_claim, ours, NONCE)
        for message in broker_answers:
            theirs.put(message)
        theirs.cut()
    return outcomes["host"], outcomes["broker"], theirs


async def test_a_host_proves_that_a_slug_is_its_own() -> None:
    host, claim, _ = await both([encode_frame(REGISTERED)])
    assert host == REGISTERED
    assert isinstance(claim, Register)
    assert (claim.slug, claim.owner) == ("demo", owner_of(SECRET))
    assert (claim.registration_token, claim.claim_only) == ("agr_x", False)


async def test_the_secret_is_not_sent() -> None:
    *_, theirs = await both([encode_frame(REGISTERED)])
    (message,) = theirs.sent
    assert isinstance(decode_from_host(message), Register)
    assert SECRET.encode() not in message


async def test_a_refusal_says_why_and_when() -> None:
    refused = Refused(code="rate_limited", message="too many", retry_after_s=60)
    host, _, _ = await both([encode_frame(refused)])
    assert isinstance(host, RegistrationRefused)
    assert host.refused == refused


async def test_a_broker_may_refuse_before_it_challenges() -> None:
    ours, theirs = line()
    theirs.put(encode_frame(Refused(code="overloaded", message="later", retry_after_s=5)))
    with pytest.raises(RegistrationRefused, match="overloaded"):
        await register(theirs, slug="demo", secret=SECRET)
    assert ours.inbox == theirs.inbox


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(encode_frame(Ping(id=1)), id="another frame"),
        pytest.param(encode_frame(Request(stream=1, method="GET", path=b"/")), id="a request"),
        pytest.param(encode_frame(Challenge(nonce=NONCE)), id="a second challenge"),
        pytest.param("text", id="text"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_another_answer_is_a_fault_of_the_broker(message: bytes | str) -> None:
    host, _, _ = await both([message])
    assert isinstance(host, PeerViolation)
    assert host.code == "bad_frame"


@pytest.mark.hostile("T21")
@pytest.mark.parametrize(
    "message",
    [encode_frame(REGISTERED), encode_frame(Ping(id=1)), "text", b"\x80", b"\xff" * 100],
)
async def test_a_broker_that_does_not_challenge_is_none(message: bytes | str) -> None:
    _, theirs = line()
    theirs.put(message)
    with pytest.raises(PeerViolation, match="bad_frame"):
        await register(theirs, slug="demo", secret=SECRET)
    assert theirs.sent == [], "and it is told nothing"


def claim(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "slug": "demo",
        "owner": owner_of(SECRET),
        "proof": prove(SECRET, "demo", NONCE),
    }
    return encode_frame(Register(**fields | changes))


@pytest.mark.hostile("T01")
@pytest.mark.parametrize(
    "message",
    [
        pytest.param(claim(proof=bytes(32)), id="T01 no proof"),
        pytest.param(claim(proof=prove("agh_x", "demo", NONCE)), id="T01 wrong secret"),
        pytest.param(claim(proof=prove(SECRET, "demo", bytes(32))), id="T01 replayed"),
        pytest.param(claim(slug="other"), id="T01 another slug"),
        pytest.param(claim(owner=owner_of("agh_x")), id="T01 another's owner"),
    ],
)
async def test_a_claim_without_a_good_proof_is_forbidden(message: bytes) -> None:
    ours, _ = line()
    ours.put(message)
    with pytest.raises(Rejected, match="slug_forbidden"):
        await receive_claim(ours, NONCE)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(encode_frame(Ping(id=1)), id="another frame"),
        pytest.param(encode_frame(REGISTERED), id="a broker's frame"),
        pytest.param(claim()[:-1], id="cut short"),
        pytest.param(claim() + b"\x00", id="more than a frame"),
        pytest.param("text", id="text"),
    ],
)
async def test_a_first_frame_that_is_no_claim_is_a_fault(message: bytes | str) -> None:
    ours, _ = line()
    ours.put(message)
    with pytest.raises(PeerViolation, match="bad_frame"):
        await receive_claim(ours, NONCE)


async def test_whoever_leaves_half_way_ends_it() -> None:
    ours, theirs = line()
    ours.cut(1001)
    for attempt in (
        register(theirs, slug="demo", secret=SECRET),
        receive_claim(ours, NONCE),
    ):
        with pytest.raises(LinkClosed, match="1001"):
            await attempt


async def test_a_silent_peer_is_left_to_the_callers_deadline(autojump_clock: MockClock) -> None:
    ours, theirs = line()
    for attempt in (
        lambda: register(theirs, slug="demo", secret=SECRET),
        lambda: receive_claim(ours, NONCE),
    ):
        with trio.move_on_after(10) as deadline:
            theirs.inbox.clear()
            await attempt()
        assert deadline.cancelled_caught
