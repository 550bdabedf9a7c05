"""The short form of `make soak-kill`."""

from pathlib import Path

import pytest

from tests.durability.soak_kill import POSTERS, kill_under_load

KILLS = 5


@pytest.mark.slow
async def test_kills_under_load_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    outcome = await kill_under_load(tmp_path, KILLS, seed=1)
    print(outcome.text())
    assert outcome.faults == []
    assert (outcome.kills, outcome.early_kills) == (KILLS, 1)
    assert outcome.posts >= POSTERS * KILLS
    assert outcome.repeated_posts >= KILLS
    assert "Traceback" not in outcome.said
