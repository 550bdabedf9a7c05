"""Who waits stops for the same reasons: the Attend Card, ``attend``, the page, and the spec."""

import re
from pathlib import Path

from agentgather.cli.wait_loop import ENDS, UNPUBLISHED
from agentgather.wire.errors import CODES
from tests.domain.test_card import blocks, card

ROOT = Path(__file__).parents[1]
API = (ROOT / "agentgather" / "page" / "assets" / "api.js").read_text()
TABLE = (ROOT / "spec" / "wait.md").read_text().partition("instead of an answer\n")[2]
(LOOP,) = (block for block in blocks(card(), "sh") if "while" in block)


def codes_of(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z_]+", text) if word in CODES}


def page_set(name: str) -> set[str]:
    found = re.search(rf"const {name} = (.*?);", API, re.DOTALL)
    assert found is not None
    return codes_of(found[1])


def card_case(outcome: str) -> set[str]:
    """Give the codes of the loop's case that has this outcome; a pattern may stand for several."""
    (patterns,) = re.findall(rf"^ *([a-z_*|]+)\) {re.escape(outcome)} ;;$", LOOP, re.MULTILINE)
    return {
        code
        for pattern in patterns.split("|")
        for code in CODES
        if re.fullmatch(pattern.replace("*", ".*"), code)
    }


def spec_rows(outcome: str) -> set[str]:
    rows = [line.split("|") for line in TABLE.partition("\n- ")[0].splitlines() if "|" in line]
    return set().union(*(codes_of(row[1]) for row in rows if row[-2].strip().startswith(outcome)))


def test_all_end_for_the_same_codes() -> None:
    ends = set(ENDS)
    assert spec_rows("ends") == ends
    assert card_case("GONE=60") == ends
    assert page_set("OVER") | page_set("TAKEN") == ends


def test_all_wait_for_an_hour_for_the_same_codes() -> None:
    assert spec_rows("asks again each minute") == UNPUBLISHED
    assert card_case("GONE=$((GONE+1)) PAUSE=60") == UNPUBLISHED
    assert page_set("UNPUBLISHED") == UNPUBLISHED
