"""The page and its files."""

import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

from agentgather.page.files import ASSETS, PAGE
from tests.doubles.asgi_client import AsgiClient
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import TOKENS, Table

pytestmark = VIRTUAL_TIME

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "agentgather" / "page"
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


async def test_every_file_is_served_as_what_it_is(table: Table) -> None:
    names = {path.name for path in (FOLDER / "assets").iterdir()}
    assert names == ASSETS.keys(), "a file of another kind, or a folder, is not served"
    for name in names:
        reply = await table.anyone.get(f"/assets/{name}")
        assert reply.status == 200
        assert reply.body == (FOLDER / "assets" / name).read_bytes()
        assert reply.headers["content-type"] == TYPES[name.rpartition(".")[2]]
        assert reply.headers["cache-control"] == "no-cache"
        assert re.fullmatch(r'"[0-9a-f]{16}"', reply.headers["etag"])


async def test_the_page_names_only_files_that_are_there(table: Table) -> None:
    page = (await table.anyone.get("/")).text
    named = set(re.findall(r'(?:src|href)="assets/([^"]+)"', page))
    assert named
    assert named <= ASSETS.keys()
    assert page.encode() == PAGE.body


@pytest.mark.parametrize("tag", ["%s", "W/%s", '"x", %s', "%s,", "*"])
async def test_who_has_the_file_is_not_sent_it_again(table: Table, tag: str) -> None:
    target = f"/assets/{next(iter(ASSETS))}"
    etag = (await table.anyone.get(target)).headers["etag"]
    headers = {"if-none-match": tag.replace("%s", etag)}
    for method in ("GET", "HEAD"):
        reply = await table.anyone.ask(method, target, headers=headers)
        assert (reply.status, reply.body) == (304, b"")
        assert reply.headers["etag"] == etag
        assert reply.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("tag", ['"x"', "", "x", '"', ",", "W/", "0" * 900])
async def test_who_has_another_file_is_sent_this_one(table: Table, tag: str) -> None:
    target = f"/assets/{next(iter(ASSETS))}"
    reply = await table.anyone.get(target, headers={"if-none-match": tag})
    assert reply.status == 200
    assert reply.body


async def test_no_data_is_ever_304(table: Table) -> None:
    client = AsgiClient(table.app, TOKENS["ada"])
    for target in ("/messages", "/brief", "/status", "/"):
        assert (await client.get(target, headers={"if-none-match": "*"})).status == 200


async def test_every_file_is_in_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    globs = project["tool"]["setuptools"]["package-data"]["agentgather.page"]
    files = [
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*")
        # What Python keeps there comes and goes while other processes start.
        if "__pycache__" not in path.parts and path.is_file()
    ]
    missing = [
        name
        for name in files
        if not name.endswith(".py") and not any(fnmatch.fnmatch(name, g) for g in globs)
    ]
    assert missing == []
