"""Every block of shell in the documents runs as it is pasted, or says why it can't."""

from collections import ChainMap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.machine import Machine
from tests.docs.page import FRESH, PAGES, PRINTS, Block, blocks_of, page_name, shape
from tests.docs.readers import READERS, Reader
from tests.docs.shell import stays
from tests.docs.substitutions import for_this_machine

ANY_TOKEN = {"token": "agp_…"}
SHELL_PAGES = [page for page in PAGES if any(block.is_shell for block in blocks_of(page))]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack)


@pytest.mark.parametrize("page", SHELL_PAGES, ids=page_name)
def test_what_a_page_says_works_as_it_is_pasted(page: Path, machine: Machine) -> None:
    reader = READERS.get(page_name(page), Reader)(machine)
    said = ""
    for block in blocks_of(page):
        if block.note == PRINTS:
            expected = for_this_machine(block.text, ChainMap(ANY_TOKEN, machine))
            assert shape(expected).search(said), f"{block.page}:{block.line}\n{expected}\n{said}"
        elif block.is_run:
            said = paste(block, reader)
    machine.shell.end_terminals()


def paste(block: Block, reader: Reader) -> str:
    """Run a block in the reader's shell, or in a further terminal; gives what it printed."""
    machine = reader.machine
    if block.note == FRESH:
        machine.begin_anew()
    reader.before(block)
    text = for_this_machine(block.text, machine)
    try:
        if stays(block.lines[-1]) is None:
            said = machine.shell.run(text)
        else:
            said = machine.shell.open_terminal(text)
        reader.after(block, said)
    except AssertionError as error:
        raise AssertionError(f"{block.page}:{block.line}:\n{text}\n{error}") from None
    return said
