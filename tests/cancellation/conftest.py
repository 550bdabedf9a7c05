"""Worlds in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.folders import quick_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory, where there is such a thing."""
    with quick_folder() as folder:
        yield folder
