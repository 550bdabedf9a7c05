import json
import re
from pathlib import Path

import pytest

from agentgather.wire.api import encode_refusal
from agentgather.wire.errors import CODES, PeerViolation, Rejected, Unavailable


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_name_a_status_and_a_meaning(code: str) -> None:
    row = CODES[code]
    assert re.fullmatch(r"[a-z]+(?:_[a-z]+)*", code)
    assert 400 <= row.status <= 599
    assert row.meaning
    assert row.meaning.isascii()


def test_no_code_is_ever_taken_away_or_given_another_status() -> None:
    kept = (Path(__file__).parent / "codes.txt").read_text("ascii").splitlines()
    codes = {f"{code} {row.status}" for code, row in CODES.items()}
    assert [line for line in kept if line not in codes] == []
    assert sorted(codes.difference(kept)) == [], "append the new codes to codes.txt"


@pytest.mark.parametrize("code", [code for code, row in CODES.items() if row.may_retry])
def test_only_what_may_pass_by_itself_may_be_tried_again(code: str) -> None:
    assert CODES[code].status in (408, 429, 500, 503, 504, 507)


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_has_the_one_shape(code: str) -> None:
    error = Rejected(code)
    body = encode_refusal(error.code, error.message)
    assert body.startswith(b'{"ok":false,"error":"' + code.encode() + b'","message":"')
    assert list(json.loads(body)) == ["ok", "error", "message"]


def test_a_refusal_says_what_its_maker_says_or_what_its_code_means() -> None:
    assert Rejected("forbidden").message == CODES["forbidden"].meaning
    assert Rejected("forbidden", "ask the host").message == "ask the host"
    assert str(Rejected("forbidden", "ask the host")) == "forbidden: ask the host"


def test_what_may_pass_is_refused_like_all_else_and_a_broken_peer_is_not() -> None:
    assert issubclass(Unavailable, Rejected)
    assert not issubclass(PeerViolation, Rejected)


def test_the_codes_that_older_clients_know_keep_their_status() -> None:
    known = {
        "unauthorized": 401,
        "forbidden": 403,
        "participant_removed": 410,
        "host_required": 403,
        "room_closed": 403,
        "rate_limited": 429,
        "loop_guard": 429,
        "wait_limit": 429,
        "room_log_full": 507,
        "storage_full": 507,
        "storage_failed": 503,
        "message_too_large": 413,
        "brief_too_large": 413,
        "body_too_large": 413,
        "invalid_message": 400,
        "idempotency_conflict": 409,
        "display_name_taken": 409,
        "alias_taken": 409,
        "unknown_participant": 404,
        "not_found": 404,
        "method_not_allowed": 405,
        "internal_error": 500,
    }
    assert {code: CODES[code].status for code in known} == known
