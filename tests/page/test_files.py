"""The browser's files, as they lie in the package: small, whole, and nothing inline."""

import re
from typing import Final

import pytest

from agentgather.page.files import ASSETS, PAGE
from agentgather.page.render import ALLOWED
from agentgather.wire.text import HIDDEN

MOST_BYTES: Final = 150 * 1000
SCRIPTS: Final = sorted(name for name in ASSETS if name.endswith(".js"))
HTML: Final = PAGE.body.decode()


def source(name: str) -> str:
    return ASSETS[name].body.decode()


def code(name: str) -> str:
    """Give a script without its comments."""
    return re.sub(r"^\s*//.*$", "", source(name), flags=re.M)


def imports(name: str, *, lazy: bool = False) -> set[str]:
    pattern = (
        r'import\("\./([^"]+)"\)'
        if lazy
        else r'^(?:import|\}) .*from "\./([^"]+)";|^import "\./([^"]+)";'
    )
    found = re.findall(pattern, code(name), re.M)
    return {"".join(one) for one in found}


def test_all_of_it_together_is_small() -> None:
    sizes = {"index.html": len(PAGE.body)} | {name: len(ASSETS[name].body) for name in ASSETS}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_first_what_it_is_for_and_is_short(name: str) -> None:
    assert source(name).startswith("// "), "the first line says the one job of the module"
    assert source(name).count("\n") <= 420, "a module has one job"


def test_every_script_is_used() -> None:
    named = set(re.findall(r'<script type="module"[^>]* src="assets/([^"]+)"', HTML))
    used, left = set(named), list(named)
    while left:
        name = left.pop()
        for found in imports(name) | imports(name, lazy=True):
            if found not in used:
                used.add(found)
                left.append(found)
    assert used == set(SCRIPTS)


def test_what_loads_at_once_is_asked_for_at_once() -> None:
    """Else the browser learns of each module only when it has read the one before."""
    named = set(re.findall(r'<script type="module"[^>]* src="assets/([^"]+)"', HTML))
    preloaded = set(re.findall(r'<link rel="modulepreload" href="assets/([^"]+)">', HTML))
    needed, left = set(named), list(named)
    while left:
        for found in imports(left.pop()) - needed:
            needed.add(found)
            left.append(found)
    assert preloaded == needed - named


def test_there_is_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", HTML) == []
    assert re.findall(r"<script(?![^>]* src=)", HTML) == []
    urls = re.findall(r'(?:src|href|action)="([^"]+)"', HTML)
    assert [url for url in urls if not url.startswith(("assets/", "#"))] == []
    for name in ASSETS:
        if name.endswith(".css"):
            assert re.findall(r"url\(|@import", source(name)) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_module_runs_text_and_only_one_reads_html(name: str) -> None:
    assert re.findall(r"\beval\(|new Function|srcdoc|document\.write", code(name)) == []
    reads = re.findall(r"[a-z]\w*HTML\b|DOMParser", code(name))
    assert reads == (["innerHTML"] if name == "safe-html.js" else [])


def test_an_element_that_a_script_asks_for_is_in_the_page() -> None:
    ids = set(re.findall(r'\sid="([^"]+)"', HTML))
    assert len(ids) == len(re.findall(r'\sid="', HTML)), "an id is given twice"
    asked = {name: set(re.findall(r'byId\("([^"]+)"\)', code(name))) for name in SCRIPTS}
    assert {name: found - ids for name, found in asked.items() if found - ids} == {}


def test_both_walls_let_the_same_elements_through() -> None:
    """The page does not trust the server of a room that it shows: it may be anybody's."""
    wall = source("safe-html.js")
    listed = re.search(r'new Set\(\s*"([a-z0-9 ]+)"', wall)
    assert listed is not None
    assert set(listed[1].split()) | {"a"} == ALLOWED.keys()
    checked = set(re.findall(r'^  "?([a-z-]+)"?: /', wall, re.M))
    attributes = {name for one in ALLOWED.values() for name in one}
    assert checked | {"class", "href", "target", "rel"} == attributes


def test_the_page_spells_the_characters_that_the_server_does() -> None:
    pattern = re.search(r"const HIDDEN =\s*/\[(.+)\]/gu;", source("text.js"))
    assert pattern is not None
    python = re.sub(
        r"\\u\{([0-9a-f]+)\}|\\u([0-9a-f]{4})|\\x([0-9a-f]{2})",
        lambda match: re.escape(chr(int(match[1] or match[2] or match[3], 16))),
        pattern[1],
    )
    javascript = re.compile(f"[{python}]")
    differ = [
        hex(point)
        for point in range(0x110000)
        if not 0xD800 <= point <= 0xDFFF
        and bool(javascript.match(chr(point))) is not bool(HIDDEN.match(chr(point)))
    ]
    assert differ == []
