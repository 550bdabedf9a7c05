"""The shortest soak that is of use: one cycle. `make soak` does the same for an hour."""

import faulthandler
from pathlib import Path

import pytest

from tests.soak.opening import TIMED
from tests.soak.report import growth_faults
from tests.soak.run import write_report
from tests.soak.scenario import soak

QUIET_SECONDS = 8
TROUBLED_SECONDS = 32
STUCK_SECONDS = 400
"""The suite's own limit for one test is for tests that run one thing, not twenty-two."""


@pytest.mark.slow
@pytest.mark.hostile("K12")
async def test_twenty_rooms_in_trouble_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True)
    done = await soak(
        tmp_path,
        quiet_seconds=QUIET_SECONDS,
        troubled_seconds=TROUBLED_SECONDS,
        is_over=lambda cycles: cycles == 1,
    )
    # How quick others were is a machine's matter: it is told here, and asked by `make soak`.
    print(write_report(done))
    assert done.faults == []
    assert growth_faults(done) == []
    # It was trouble.
    assert sum(len(room.outages) for room in done.rooms[TIMED:-1]) >= 10
    for what in ("pings: ended", "fragments: ended", "comings: registered", "half bodies"):
        assert done.harm[what] > 0, what
    assert done.harm["floods answered 429"] > 0
    assert all(room.people.visits > 0 for room in done.rooms)
