"""The clauses are all of the contract that can be tried from outside."""

import re
from pathlib import Path
from typing import Final

from agentgather.conformance.catalogue import CLAUSES
from agentgather.wire.errors import CODES
from tests.test_docs import anchors

ROOT: Final = Path(__file__).resolve().parents[2]
SPEC: Final = ROOT / "spec"
CHAPTERS: Final = ROOT / "agentgather" / "conformance" / "chapters"

# Codes that no request from outside is answered with at will.
NOT_TRIED: Final = {
    "a room that is full, failing or stopping": {
        *("room_log_full", "roster_full", "storage_full", "storage_failed", "storage_unsafe"),
        *("overloaded", "shutting_down", "internal_error"),
    },
    "what a proxy or h11 may answer in more than one way": {"not_implemented"},
    "a route that is over, or has a fault": {
        *("route_expired", "route_closed", "route_request_limit", "response_too_large"),
        *("bad_host_response", "host_unavailable"),
    },
    "what a broker says to hosts": {
        *("invalid_registration", "slug_forbidden", "route_slug_taken", "invalid_heartbeat"),
        *("unknown_request", "superseded"),
    },
}


def test_a_name_is_one_clause_in_one_form() -> None:
    names = [clause.name for clause in CLAUSES]
    assert len(set(names)) == len(names)
    odd = [name for name in names if not re.fullmatch(r"[a-z-]+\.[a-z0-9-]+", name)]
    assert odd == []


def test_no_name_is_ever_taken_away() -> None:
    # Others keep lists of the names that they do not keep yet.
    kept = (Path(__file__).parent / "names.txt").read_text("ascii").split()
    names = {clause.name for clause in CLAUSES}
    assert [name for name in kept if name not in names] == []
    assert sorted(names.difference(kept)) == [], "append the new names to names.txt"


def test_a_clause_says_where_the_contract_says_it() -> None:
    faults = []
    for clause in CLAUSES:
        page, _, heading = clause.said.partition("#")
        if heading not in anchors(SPEC / page):
            faults.append(clause.said)
    assert faults == []


def test_every_endpoint_has_a_clause() -> None:
    text = (SPEC / "http-api.md").read_text("utf-8")
    endpoints = re.findall(r"^### `([A-Z]+ [^`]+)`$", text, re.M)
    assert len(endpoints) > 20
    said = {clause.said for clause in CLAUSES}
    missing = [
        endpoint
        for endpoint in endpoints
        if f"http-api.md#{re.sub(r'[^a-z- ]', '', endpoint.lower()).replace(' ', '-')}" not in said
    ]
    assert missing == []


def test_every_code_is_tried_or_said_not_to_be() -> None:
    text = "".join(path.read_text("utf-8") for path in CHAPTERS.glob("*.py"))
    tried = {code for code in CODES if f'"{code}"' in text}
    reasons = set().union(*NOT_TRIED.values())
    assert sorted(CODES.keys() - tried - reasons) == []
    assert sorted(reasons & tried) == [], "it is tried after all"
