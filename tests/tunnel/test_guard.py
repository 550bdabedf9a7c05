"""What a host takes from a broker that means no good."""

import pytest

from agentgather.tunnel.guard import admit_request
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_HEADERS, MAX_HEADERS_BYTES, MAX_TARGET_BYTES
from agentgather.wire.link import Headers, Request

TOKEN = (b"authorization", b"Bearer agp_x")


def admit(
    *, method: str = "GET", path: bytes = b"/wait", query: bytes = b"", headers: Headers = ()
) -> Headers:
    return admit_request(Request(stream=1, method=method, path=path, query=query, headers=headers))


def refusal(**request: object) -> str:
    with pytest.raises(Rejected) as caught:
        admit(**request)  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_what_a_room_has_is_let_through(method: str) -> None:
    assert admit(method=method, headers=(TOKEN,)) == (TOKEN,)
    assert admit(method=method, path=b"/participants/rev-1/remove") == ()
    assert admit(method=method, path=b"/", query=b"participant=rev&since_id=1?x=%2e") == ()


@pytest.mark.hostile("T17")
@pytest.mark.parametrize("method", ["CONNECT", "OPTIONS", "DELETE", "get", "", "GET x", "G\r\nET"])
def test_other_methods_are_refused(method: str) -> None:
    assert refusal(method=method) == "method_not_allowed"


@pytest.mark.hostile("T17")
@pytest.mark.parametrize(
    "path",
    [
        *(b"", b"x", b"//x", b"//", b"http://evil.example/", b"*", b"evil.example:80"),
        *(b"/../", b"/..", b"/.", b"/a/./b", b"/a/../b", b"/%2e%2e/", b"/%2E%2e", b"/.%2e/x"),
        *(
            b"/a?b",
            b"/a#b",
            b"/a\\..\\b",
            b"/a b",
            b"/a\r\nb",
            b"/a\nb",
            b"/a\0",
            b"/a\t",
            b"/\x7f",
        ),
        *(b"/\xc3\xa9", b"/a\n"),
    ],
)
def test_a_path_is_visible_and_stays_in_the_room(path: bytes) -> None:
    assert refusal(path=path) == "bad_request_target"


@pytest.mark.parametrize(
    "path", [b"/.well", b"/a..b", b"/...", b"/a//b", b"/a;b", b"/%2f", b"/a:b"]
)
def test_odd_paths_are_the_rooms_to_refuse(path: bytes) -> None:
    assert admit(path=path) == ()


@pytest.mark.parametrize("query", [b"a#b", b"a b", b"a\r\nb", b"\0", b"\xc3\xa9", b"a\n"])
def test_a_query_is_visible(query: bytes) -> None:
    assert refusal(query=query) == "bad_request_target"


def test_path_and_query_are_bounded_together() -> None:
    path = b"/" + b"a" * 9
    # The question mark counts: the target is what goes on one line.
    assert admit(path=path, query=b"q" * (MAX_TARGET_BYTES - 11)) == ()
    assert refusal(path=path, query=b"q" * (MAX_TARGET_BYTES - 10)) == "target_too_long"
    assert refusal(path=b"/" * 10_000_000) == "target_too_long"


@pytest.mark.hostile("T17", "B11")
def test_only_what_a_participant_says_goes_on() -> None:
    said = (
        TOKEN,
        (b"content-type", b"application/json"),
        (b"accept", b"*/*"),
        (b"origin", b"https://rooms.example"),
        (b"last-event-id", b"7"),
    )
    others = (
        *((b"host", b"evil.example"), (b"cookie", b"a=b"), (b"content-length", b"99")),
        *((b"transfer-encoding", b"chunked"), (b"x-forwarded-for", b"127.0.0.1")),
        *((b"connection", b"authorization"), (b"x-forwarded-for", b"::1")),
    )
    assert admit(headers=(*said, *others)) == said


@pytest.mark.hostile("T17", "B10")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((b"a\r\nb", b"x"), (b"a b", b"x"), (b"", b"x"), (b"a:b", b"x"), (b"\xff", b"x")),
        *((b"Authorization", b"x"), (b"authorization\n", b"x"), (b"x\0", b"x")),
        *((b"accept", b"a\r\nhost: evil"), (b"accept", b"a\nb"), (b"accept", b"\0")),
        *((b"authorization", b"x\x7f"), (b"cookie", b"\x1b[2J")),
    ],
)
def test_a_header_that_could_be_two_is_refused(name: bytes, value: bytes) -> None:
    assert refusal(headers=((name, value),)) == "bad_request"


def test_a_header_that_decides_something_is_there_once() -> None:
    assert refusal(headers=(TOKEN, TOKEN)) == "bad_request"


def test_headers_are_bounded() -> None:
    many = tuple((b"x-%d" % number, b"") for number in range(MAX_HEADERS))
    assert admit(headers=many) == ()
    assert refusal(headers=(*many, (b"y", b""))) == "headers_too_large"
    half = b"v" * (MAX_HEADERS_BYTES // 2 - 1)
    assert admit(headers=((b"a", half), (b"b", half))) == ()
    assert refusal(headers=((b"a", half), (b"b", half), (b"c", b""))) == "headers_too_large"
    assert refusal(headers=((b"accept", b"v" * 8193),)) == "headers_too_large"
