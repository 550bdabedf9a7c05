"""The bytes of an answer."""

import pytest

from agentgather.edge.framing import AnswerFraming, BadAnswer

TEXT = [(b"content-type", b"text/plain")]


def framing(
    method: str = "GET", version: str = "1.1", *, keeps_alive: bool = True
) -> AnswerFraming:
    return AnswerFraming(method, version, keeps_alive=keeps_alive)


def test_a_whole_answer_is_head_and_body_with_its_length() -> None:
    assert framing().first(200, TEXT, b"hi", more=False) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"
    )


def test_an_announced_length_is_kept() -> None:
    data = framing().first(201, [(b"content-length", b"2"), *TEXT], b"hi", more=False)
    assert data.endswith(b"\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi")
    assert data.count(b"content-length") == 1


def test_the_last_answer_says_so() -> None:
    assert b"\r\nconnection: close\r\n" in framing(keeps_alive=False).first(
        200, [], b"", more=False
    )


def test_an_application_may_end_the_connection() -> None:
    answer = framing()
    data = answer.first(200, [(b"connection", b"Close")], b"", more=False)
    assert data.count(b"connection: close") == 1
    assert not answer.keeps_alive


def test_a_status_without_a_name_has_none() -> None:
    assert framing().first(299, [], b"", more=False).startswith(b"HTTP/1.1 299 \r\n")


def test_a_stream_is_chunked() -> None:
    answer = framing()
    assert answer.first(200, [], b"abc", more=True).endswith(
        b"\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
    )
    assert answer.next(b"", more=True) == b""
    assert answer.next(b"x" * 16, more=True) == b"10\r\n" + b"x" * 16 + b"\r\n"
    assert answer.next(b"z", more=False) == b"1\r\nz\r\n0\r\n\r\n"
    assert answer.keeps_alive


def test_a_stream_to_http_1_0_ends_with_the_connection() -> None:
    answer = framing(version="1.0", keeps_alive=True)
    data = answer.first(200, [], b"abc", more=True)
    assert b"transfer-encoding" not in data
    assert data.endswith(b"\r\nconnection: close\r\n\r\nabc")
    assert answer.next(b"d", more=False) == b"d"
    assert not answer.keeps_alive


def test_head_has_the_length_of_what_it_leaves_out() -> None:
    data = framing("HEAD").first(200, [(b"content-length", b"5")], b"hello", more=False)
    assert data.endswith(b"content-length: 5\r\n\r\n")
    assert (
        framing("HEAD").first(200, [], b"hello", more=False).endswith(b"content-length: 5\r\n\r\n")
    )


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status: int) -> None:
    data = framing().first(status, [], b"hello", more=False)
    assert data.endswith(b"\r\n\r\n")
    assert b"content-length" not in data
    assert b"transfer-encoding" not in framing().first(status, [], b"", more=True)


def test_204_has_no_length_even_if_it_is_given() -> None:
    assert b"content-length" not in framing().first(
        204, [(b"content-length", b"0")], b"", more=False
    )


BAD_HEADERS = [
    (b"x", b"a\r\nset-cookie: b"),
    (b"x", b"a\nb"),
    (b"x", b"a\rb"),
    (b"x", b"a\0b"),
    (b"x", b"a\x7f"),
    (b"x\r\ny", b"a"),
    (b"x y", b"a"),
    (b"x:", b"a"),
    (b"", b"a"),
    (b"content-length", b"-1"),
    (b"content-length", b"1\r\nx: y"),
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_a_header_can_add_no_line(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(BadAnswer):
        framing().first(200, [header], b"", more=False)


@pytest.mark.parametrize("status", [0, 99, 101, 1000])
def test_a_status_is_a_final_one(status: int) -> None:
    with pytest.raises(BadAnswer):
        framing().first(status, [], b"", more=False)


def test_a_body_is_as_long_as_announced() -> None:
    five = [(b"content-length", b"5")]
    with pytest.raises(BadAnswer):
        framing().first(200, five, b"hi", more=False)
    with pytest.raises(BadAnswer):
        framing().first(200, five, b"hello!", more=True)
    answer = framing()
    answer.first(200, five, b"hell", more=True)
    assert answer.next(b"o", more=True) == b"o"
    assert answer.next(b"", more=False) == b""
