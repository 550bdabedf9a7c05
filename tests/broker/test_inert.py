"""What of a host's answer reaches a participant.."""

import pytest

from agentgather.broker.inert import inert_head
from agentgather.edge.answers import SECURITY_HEADERS
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_HEADERS, MAX_HOST_ANSWER_BYTES
from agentgather.wire.link import Headers, Response

JSON = (b"content-type", b"application/json; charset=utf-8")


def head_of(*headers: tuple[bytes, bytes], status: int = 200, method: str = "GET") -> Headers:
    answer = Response(stream=1, status=status, headers=headers)
    return tuple(inert_head(answer, method).headers)


def refusal_of(*headers: tuple[bytes, bytes], status: int = 200, data: bytes = b"") -> str:
    with pytest.raises(Rejected) as caught:
        inert_head(Response(stream=1, status=status, headers=headers, data=data), "GET")
    assert caught.value.status == 502
    return caught.value.code


@pytest.mark.hostile("T09")
@pytest.mark.parametrize("status", [0, -1, 99, 100, 101, 103, 199, 300, 301, 304, 399, 600, 1000])
def test_a_status_is_an_answers(status: int) -> None:
    assert refusal_of(JSON, status=status) == "bad_host_response"


@pytest.mark.parametrize("status", [200, 201, 204, 299, 400, 404, 418, 429, 500, 507, 599])
def test_any_status_of_an_api_passes(status: int) -> None:
    assert inert_head(Response(stream=1, status=status, headers=(JSON,)), "GET").status == status


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (b"application/json", b"application/json; charset=utf-8"),
        (b"Application/JSON;charset=latin-1", b"application/json; charset=utf-8"),
        (b"text/plain; charset=utf-7", b"text/plain; charset=utf-8"),
        (b"text/event-stream", b"text/event-stream"),
        (b"text/event-stream; charset=utf-8", b"text/event-stream"),
    ],
)
def test_a_type_is_one_of_three_and_its_parameters_are_ours(given: bytes, passed: bytes) -> None:
    assert (b"content-type", passed) in head_of((b"content-type", given))


@pytest.mark.hostile("T09")
@pytest.mark.parametrize(
    "content_type",
    [
        *(b"text/html", b"text/html; charset=utf-8", b"application/xhtml+xml", b"image/svg+xml"),
        *(b"text/javascript", b"application/javascript", b"text/css", b"text/xml", b"multipart/x"),
        *(b"application/json+x", b"text/plain,text/html", b"text/plain text/html", b"", b"*/*"),
        *(b"application/octet-stream", b"text/markdown", b"application/pdf"),
    ],
)
def test_what_a_browser_would_act_on_is_refused(content_type: bytes) -> None:
    assert refusal_of((b"content-type", content_type)) == "bad_host_response"


def test_an_answer_says_what_it_is_and_says_it_once() -> None:
    assert refusal_of() == "bad_host_response"
    assert refusal_of(JSON, (b"content-type", b"text/html")) == "bad_host_response"
    assert refusal_of(JSON, JSON) == "bad_host_response"


def test_no_content_is_no_content() -> None:
    assert refusal_of(JSON, status=204, data=b"x") == "bad_host_response"
    assert all(name != b"content-length" for name, _ in head_of(status=204))


@pytest.mark.parametrize(
    "length", [b"-1", b"+3", b"0x3", b"3, 3", b"", b"1e3", b"99999999999", "٣".encode()]
)
def test_a_length_is_a_number(length: bytes) -> None:
    assert refusal_of(JSON, (b"content-length", length)) == "bad_host_response"


def test_a_length_and_a_coding_are_one_too_many() -> None:
    assert (
        refusal_of(JSON, (b"content-length", b"3"), (b"transfer-encoding", b"chunked"))
        == "bad_host_response"
    )
    assert (
        refusal_of(JSON, (b"content-length", b"3"), (b"content-length", b"4"))
        == "bad_host_response"
    )


def test_an_answer_of_known_length_has_a_limit() -> None:
    most = b"%d" % MAX_HOST_ANSWER_BYTES
    more = b"%d" % (MAX_HOST_ANSWER_BYTES + 1)
    assert (b"content-length", most) in head_of(JSON, (b"content-length", most))
    assert refusal_of(JSON, (b"content-length", more)) == "response_too_large"
    # It is only told of, and nothing of it comes.
    assert (b"content-length", more) in head_of(JSON, (b"content-length", more), method="HEAD")


@pytest.mark.hostile("T09")
@pytest.mark.parametrize(
    "header",
    [
        (b"set-cookie", b"a=b"),
        (b"location", b"https://evil.example/"),
        (b"refresh", b"0; url=https://evil.example/"),
        (b"link", b"<https://evil.example/>; rel=preload"),
        (b"service-worker-allowed", b"/"),
        (b"access-control-allow-origin", b"*"),
        (b"content-security-policy", b"default-src *"),
        (b"strict-transport-security", b"max-age=0"),
        (b"clear-site-data", b'"*"'),
        (b"transfer-encoding", b"chunked"),
        (b"content-encoding", b"gzip"),
        (b"connection", b"close"),
        (b"upgrade", b"h2c"),
        (b"cache-control", b"public, max-age=31536000"),
        (b"x-content-type-options", b"off"),
        (b"server", b"evil"),
        (b"alt-svc", b'h3=":443"'),
        (b"retry-after", b"5\r\nset-cookie: a=b"),
        (b"retry-after", b"Fri, 31 Dec 2027 23:59:59 GMT"),
        (b"retry-after\r\nset-cookie", b"5"),
        (b"allow", b"GET\r\nlocation: /"),
        (b"www-authenticate", b'Basic realm="your password"'),
        (b"www-authenticate", b'Bearer realm="x", Basic realm="y"'),
        (b"content-disposition", b'inline; filename="x.html"'),
        (b"content-disposition", b'attachment; filename="../x"'),
        (b"content-disposition", b"attachment; filename*=utf-8''x.html"),
    ],
    ids=repr,
)
def test_nothing_else_of_a_hosts_headers_passes(header: tuple[bytes, bytes]) -> None:
    assert head_of(JSON, header) == head_of(JSON)


@pytest.mark.parametrize(
    "header",
    [
        (b"retry-after", b"5"),
        (b"allow", b"GET, HEAD, POST"),
        (b"www-authenticate", b'Bearer realm="room"'),
        (b"content-disposition", b'attachment; filename="demo.json"'),
    ],
    ids=repr,
)
def test_what_a_client_needs_passes(header: tuple[bytes, bytes]) -> None:
    assert header in head_of(JSON, header)


def test_every_answer_has_the_brokers_own_headers() -> None:
    headers = head_of(JSON)
    assert set(SECURITY_HEADERS) <= set(headers)
    assert (b"cache-control", b"no-store") in headers


@pytest.mark.hostile("T09")
def test_headers_are_not_without_end() -> None:
    many = tuple((b"x-%d" % number, b"") for number in range(MAX_HEADERS + 1))
    assert refusal_of(*many) == "bad_host_response"
