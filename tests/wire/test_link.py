"""What is a frame, and what is none."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.wire.errors import CODES, PeerViolation
from agentgather.wire.limits import MAX_DATA_BYTES, MAX_FRAME_BYTES, MAX_HEAD_BYTES
from agentgather.wire.link import (
    CLOSE_CODES,
    MAX_CREDIT,
    MAX_STREAM_ID,
    Challenge,
    Data,
    FromBroker,
    FromHost,
    GoingAway,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    Request,
    Reset,
    Response,
    Window,
    decode_from_broker,
    decode_from_host,
    encode_frame,
)

ZEROS = bytes(32)
FROM_HOST: list[FromHost] = [
    Register(slug="demo", owner=ZEROS, proof=ZEROS),
    Register(slug="demo", owner=ZEROS, proof=ZEROS, registration_token="agr_t", claim_only=True),
    Response(stream=1, status=200),
    Response(stream=1, status=200, headers=((b"a", b"b"),), data=b"x", end=True),
]
FROM_BROKER: list[FromBroker] = [
    Challenge(nonce=ZEROS),
    Registered(public_url="https://x/demo", lease_seconds=900, lifetime_seconds=0),
    Refused(code="rate_limited", message="later", retry_after_s=60),
    Request(stream=1, method="GET", path=b"/wait", query=b"hold=0", headers=((b"a", b"b"),)),
]
EITHER: list[Any] = [
    Data(stream=MAX_STREAM_ID, data=b"x", end=True),
    Window(stream=1, credit=MAX_CREDIT),
    Reset(stream=1, code="cancelled"),
    Ping(id=0),
    Pong(id=MAX_CREDIT),
    GoingAway(code="going_away", return_after_ms=600_000),
]


def pack(**fields: Any) -> bytes:
    return msgspec.msgpack.encode(fields)


def name_of(frame: Any) -> str:
    return type(frame).__name__


@pytest.mark.parametrize("frame", [*FROM_HOST, *EITHER], ids=name_of)
def test_a_hosts_frame_is_read_as_it_was_written(frame: FromHost) -> None:
    assert decode_from_host(encode_frame(frame)) == frame


@pytest.mark.parametrize("frame", [*FROM_BROKER, *EITHER], ids=name_of)
def test_a_brokers_frame_is_read_as_it_was_written(frame: FromBroker) -> None:
    assert decode_from_broker(encode_frame(frame)) == frame


@pytest.mark.parametrize("frame", FROM_HOST, ids=name_of)
def test_a_hosts_frame_is_none_of_a_brokers(frame: FromHost) -> None:
    with pytest.raises(PeerViolation, match="bad_frame"):
        decode_from_broker(encode_frame(frame))


@pytest.mark.parametrize("frame", FROM_BROKER, ids=name_of)
def test_a_brokers_frame_is_none_of_a_hosts(frame: FromBroker) -> None:
    with pytest.raises(PeerViolation, match="bad_frame"):
        decode_from_host(encode_frame(frame))


def test_keys_that_a_newer_peer_adds_are_skipped() -> None:
    message = pack(t="data", stream=1, data=b"x", colour={"a": [1, None, 2.5]}, zeal=True)
    assert decode_from_host(message) == Data(stream=1, data=b"x")


@pytest.mark.hostile("T08")
@pytest.mark.parametrize(
    "message",
    [
        pytest.param("text", id="T08 text"),
        pytest.param("", id="T08 empty text"),
        pytest.param(b"", id="T08 empty"),
        pytest.param(b"\xc1", id="T08 garbage first byte"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(b'{"t":"ping","id":1}', id="JSON"),
        pytest.param(pack(t="ping", id=1)[:-1], id="cut short"),
        pytest.param(pack(t="ping", id=1) + b"\x00", id="more than a frame"),
        pytest.param(pack(t="ping", id=1) * 2, id="two frames"),
        pytest.param(msgspec.msgpack.encode(["ping", 1]), id="an array"),
        pytest.param(msgspec.msgpack.encode(None), id="nothing at all"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="T08 declares 4 billion keys"),
        pytest.param(
            pack(t="data", stream=1)[:-1] + b"\x01\xa4data\xc6\xff\xff\xff\xff",
            id="T08 declares 4 GiB",
        ),
        pytest.param(b"\x82\xa1t\xa4ping\xa1x" + b"\x91" * 60_000, id="nested 60,000 deep"),
        pytest.param(b"\x82\xa1t\xa4ping\xa2id\xa1\xff", id="a text that is not UTF-8"),
        pytest.param(pack(id=1), id="no tag"),
        pytest.param(pack(t="hello", id=1), id="unknown tag"),
        pytest.param(pack(t="Ping", id=1), id="tag in another case"),
        pytest.param(pack(t=1, id=1), id="tag that is a number"),
        pytest.param(pack(t="ping"), id="key missing"),
    ],
)
def test_what_is_no_frame_is_refused(message: bytes | str) -> None:
    for decode in (decode_from_host, decode_from_broker):
        with pytest.raises(PeerViolation, match="bad_frame"):
            decode(message)


@pytest.mark.hostile("T08")
def test_a_frame_is_64_kib_and_no_more() -> None:
    fits = pack(t="data", stream=1, data=bytes(MAX_FRAME_BYTES - 24))
    assert len(fits) == MAX_FRAME_BYTES
    assert isinstance(decode_from_host(fits), Data)
    with pytest.raises(PeerViolation, match="64 KiB"):
        decode_from_host(pack(t="data", stream=1, data=bytes(MAX_FRAME_BYTES - 23)))


def test_the_longest_head_and_the_longest_piece_of_a_body_fit_a_frame() -> None:
    assert MAX_HEAD_BYTES + MAX_DATA_BYTES + 512 <= MAX_FRAME_BYTES


@pytest.mark.hostile("T07")
@pytest.mark.parametrize(
    "message",
    [
        *[pack(t="data", stream=n, end=True) for n in (0, -1, 2**31, 2**63, 1.0, "1", True, None)],
        *[pack(t="window", stream=1, credit=n) for n in (0, -1, 2**31, 2**64 - 1, 1.5)],
        *[pack(t="ping", id=n) for n in (-1, 2**31, "x")],
        *[pack(t="going_away", code="x", return_after_ms=n) for n in (-1, 600_001, "soon")],
        *[pack(t="reset", stream=1, code=c) for c in ("", "A", "1a", "a b", "a\n", "a" * 65, 7)],
        *[pack(t="data", stream=1, data=d) for d in ("text", 1, [1], None)],
        *[pack(t="data", stream=1, data=b"x", end=e) for e in (1, "true", None)],
    ],
)
def test_values_out_of_range_are_refused(message: bytes) -> None:
    for decode in (decode_from_host, decode_from_broker):
        with pytest.raises(PeerViolation, match="bad_frame"):
            decode(message)


@pytest.mark.hostile("T09")
@pytest.mark.parametrize(
    "headers",
    [
        {"a": b"b"},
        [b"ab"],
        [[b"a"]],
        [[b"a", b"b", b"c"]],
        [["a", b"b"]],
        [[b"a", "b"]],
        [[b"a", None]],
        [[b"a", 1]],
        b"ab",
        None,
    ],
)
def test_headers_are_pairs_of_bytes(headers: Any) -> None:
    with pytest.raises(PeerViolation, match="bad_frame"):
        decode_from_host(pack(t="response", stream=1, status=200, headers=headers))
    with pytest.raises(PeerViolation, match="bad_frame"):
        decode_from_broker(pack(t="request", stream=1, method="GET", path=b"/", headers=headers))


@pytest.mark.hostile("T09")
@pytest.mark.parametrize("status", ["x", None, 200.0, 2**64 - 1 + 1.0, True])
def test_a_status_is_a_number(status: Any) -> None:  # which one is for the broker to check
    with pytest.raises(PeerViolation, match="bad_frame"):
        decode_from_host(pack(t="response", stream=1, status=status))


@pytest.mark.parametrize("key", ["owner", "proof"])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_owner_and_proof_are_32_bytes(key: str, length: int) -> None:
    fields: dict[str, Any] = {"slug": "demo", "owner": ZEROS, "proof": ZEROS, key: bytes(length)}
    with pytest.raises(PeerViolation, match="bad_frame"):
        decode_from_host(pack(t="register", **fields))


def test_an_error_quotes_nothing_of_the_frame() -> None:
    message = pack(t="response", stream=1, status="s3cret", headers=[["s3cret", "s3cret"]])
    with pytest.raises(PeerViolation) as caught:
        decode_from_host(message)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "frame",
    [
        Register(
            slug="demo", owner=b"s3cret" * 6, proof=b"s3cret" * 6, registration_token="s3cret"
        ),
        Request(
            stream=1,
            method="GET",
            path=b"/s3cret",
            query=b"s3cret",
            headers=((b"authorization", b"s3cret"),),
            data=b"s3cret",
        ),
        Response(stream=1, status=200, headers=((b"x", b"s3cret"),), data=b"s3cret"),
        Data(stream=1, data=b"s3cret"),
    ],
    ids=name_of,
)
def test_a_frame_that_is_printed_shows_no_secret(frame: Any) -> None:
    assert "s3cret" not in repr(frame) + str(frame) + f"{frame}"


def test_close_codes_are_of_the_range_for_applications_and_each_its_own() -> None:
    assert len(set(CLOSE_CODES.values())) == len(CLOSE_CODES)
    for code, number in CLOSE_CODES.items():
        assert number == 1001 if code == "going_away" else 4400 <= number < 4500
    assert {"superseded", "slug_forbidden", "route_slug_taken"} <= CLOSE_CODES.keys() & CODES.keys()


@pytest.mark.hostile("T08")
@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_violation(message: bytes) -> None:
    for decode in (decode_from_host, decode_from_broker):
        try:
            frame = decode(message)
        except PeerViolation:
            continue
        assert decode(encode_frame(frame)) == frame
