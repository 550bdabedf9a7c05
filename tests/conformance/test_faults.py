"""Each clause can fail, and fails for a server with that one fault."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from agentgather.conformance.chapters import deadlines
from agentgather.conformance.clause import Clause, Stage
from agentgather.conformance.run import Result
from tests.conformance.faults import FAULTS, NEWER, REFUSES_NOTHING, WRONG_CODES, lacks
from tests.conformance.faulty_server import Fault, open_faulty
from tests.conformance.stage import BY_NAME, NEEDS_A_BROKER, PARTS, open_room, place_of, try_at

SECONDS = 1.5
"""How long an answer may take here: a server that never answers is known after it."""
UNNAMED = [
    clause for name, clause in BY_NAME.items() if name not in FAULTS and name not in NEEDS_A_BROKER
]
CHAPTERS = sorted({clause.name.partition(".")[0] for clause in UNNAMED})
UNRELATED = ("answer.", "body.", "export.", "message.", "order.", "post.", "request.", "wait.")
FIRST = [clause for clause in BY_NAME.values() if clause.stage is Stage.FIRST]


async def tried(path: Path, fault: Fault, clauses: Sequence[Clause]) -> dict[str, Result]:
    """Try clauses on our own room, with a fault in front of it."""
    async with open_room(path / "home") as port, open_faulty(port, fault) as faulty:
        return await try_at(place_of(faulty), clauses, seconds=SECONDS)


def failed(results: dict[str, Result]) -> set[str]:
    return {name for name, result in results.items() if result.outcome == "failed"}


def test_every_fault_is_of_a_clause() -> None:
    assert FAULTS.keys() <= BY_NAME.keys()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_clause_fails_for_a_server_with_its_fault(name: str, tmp_path: Path) -> None:
    results = await tried(tmp_path, FAULTS[name], [BY_NAME[name]])
    assert name in failed(results), FAULTS[name].what


@pytest.mark.parametrize("chapter", CHAPTERS)
async def test_all_others_fail_for_a_server_that_refuses_nothing(
    chapter: str, tmp_path: Path
) -> None:
    clauses = [one for one in UNNAMED if one.name.startswith(f"{chapter}.")]
    results = await tried(tmp_path, REFUSES_NOTHING, clauses)
    assert {one.name for one in clauses} <= failed(results)


async def test_who_waits_for_half_a_head_for_ever_has_no_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The room that is tried has one, of ten seconds; too late for who expects it by now.
    monkeypatch.setattr(deadlines, "HEADERS_SECONDS", -1)
    results = await tried(tmp_path, Fault(what="none"), [BY_NAME["deadline.headers"]])
    assert results["deadline.headers"].detail == "half a head is waited for after 0.5 s"


@pytest.mark.slow
async def test_refusals_of_another_code_are_none(tmp_path: Path) -> None:
    clauses = [one for one in FIRST if one.check.__qualname__.startswith("refused.")]
    assert len(clauses) > 50
    results = await tried(tmp_path, WRONG_CODES, clauses)
    assert failed(results) == {one.name for one in clauses}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (Fault(what="none"), set()),
        (lacks("x-content-type-options"), {"answer.nosniff"}),
        (FAULTS["wait.mentioned"], {"wait.mentioned"}),
        (FAULTS["post.again"], {"post.again"}),
    ],
    ids=["no fault", "no header", "no mention", "no word of a known key"],
)
async def test_a_fault_fails_its_own_clause_and_no_other(
    fault: Fault, names: set[str], tmp_path: Path
) -> None:
    clauses = [one for one in FIRST if one.name.startswith(UNRELATED)]
    results = await tried(tmp_path, fault, clauses)
    assert failed(results) == names
    assert all(one.outcome == "passed" for name, one in results.items() if name not in names)


@pytest.mark.slow
@pytest.mark.parametrize("clauses", PARTS[:3])
async def test_a_server_that_has_grown_keeps_the_contract(
    clauses: tuple[Clause, ...], tmp_path: Path
) -> None:
    # To say nothing else is what /healthz promises.
    others = [one for one in clauses if one.name not in {"healthz.here", *NEEDS_A_BROKER}]
    assert failed(await tried(tmp_path, NEWER, others)) == set()
