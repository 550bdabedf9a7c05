"""Fronts for the modules here: one as it is shipped, one whose limits are lifted."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.public.broker import LIFTED
from tests.end_to_end.public.front import Front, open_front


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The front with the limits that it has by default."""
    with open_front(tmp_path_factory.mktemp("front"), "") as opened:
        yield opened


@pytest.fixture(scope="module")
def lifted_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """A front for tests that are not about limits, whose clients all have one address."""
    with open_front(tmp_path_factory.mktemp("lifted"), LIFTED) as opened:
        yield opened
