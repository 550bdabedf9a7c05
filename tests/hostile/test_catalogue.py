"""Each row of the catalogue has a test, and each number that a test names is a row."""

from pathlib import Path

import pytest

from generate import hostile

ROOT = Path(__file__).parents[2]

ROWS = [row for rows in hostile.read_rows(ROOT).values() for row in rows]
TESTS = hostile.read_tests(ROOT)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_row_has_a_test(row: hostile.Row) -> None:
    assert TESTS.get(row.id)
    assert all(row)


def test_each_number_is_a_row() -> None:
    assert TESTS.keys() <= {row.id for row in ROWS}


def test_what_the_reader_finds_is_what_pytest_sees(request: pytest.FixtureRequest) -> None:
    """A marker that is written in another way would be on no page."""
    read = {(number, test.path, test.name) for number, tests in TESTS.items() for test in tests}
    seen = {
        (number, item.path.relative_to(ROOT).as_posix(), item.originalname)
        for item in request.session.items
        if isinstance(item, pytest.Function)
        for marker in item.iter_markers("hostile")
        for number in marker.args
    }
    assert seen - read == set()
