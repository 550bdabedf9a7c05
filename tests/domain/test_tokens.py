import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.domain.tokens import (
    TOKEN_ENTROPY_BYTES,
    hash_token,
    is_token,
    mint_token,
    parse_bearer,
)


@given(st.binary(min_size=TOKEN_ENTROPY_BYTES, max_size=TOKEN_ENTROPY_BYTES))
def test_a_token_is_a_prefix_and_32_bytes_that_a_header_can_carry(entropy: bytes) -> None:
    token = mint_token(entropy)
    assert re.fullmatch(r"agp_[A-Za-z0-9_-]{43}", token)
    assert is_token(token)
    assert parse_bearer(f"Bearer {token}".encode()) == token


def test_other_entropy_is_another_token() -> None:
    assert mint_token(bytes(32)) != mint_token(bytes(31) + b"\1")


def test_what_is_kept_of_a_token_is_its_hash_in_hex() -> None:
    assert hash_token("agp_x") == hashlib.sha256(b"agp_x").hexdigest()


def test_an_older_token_is_one_too() -> None:
    assert is_token("tgl_" + "A1_-" * 8)


@pytest.mark.hostile("A03")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "agp_",
        "agp_short",
        "agx_" + "a" * 43,
        "agp_" + "a" * 43 + "\n",
        "agp_" + "é" * 43,
        " agp_" + "a" * 43,
        "agp_" + "a" * 200,
    ],
)
def test_what_has_another_form_is_no_token(text: str) -> None:
    assert not is_token(text)


@pytest.mark.hostile("A03")
@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer  agp_x",
        b"Bearer agp_x ",
        b"bearer agp_x",
        b"BEARER agp_x",
        b"Basic agp_x",
        b"Bearer agp_x,Bearer agp_y",
        b"Bearer agp_x agp_y",
        b"Bearer agp_\xe9",
        b"Bearer agp_x\n",
        b"Bearer agp_x\x00",
        b"Bearer\tagp_x",
        b"Bearer " + b"a" * 16_384,
        b"agp_x",
    ],
)
def test_a_header_of_another_form_holds_no_token(value: bytes | None) -> None:
    assert parse_bearer(value) is None


@given(st.binary(max_size=80))
def test_no_header_makes_its_reading_fail(value: bytes) -> None:
    token = parse_bearer(value)
    assert token is None or value == b"Bearer " + token.encode()
