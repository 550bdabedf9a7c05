"""What a release brings along is listed in full, with its licences, or there is no release."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from release.licences import render_licences
from release.notices import read_notices
from release.parts import NotAsPinned, Part, Text, find_parts, read_pins
from release.parts_native import find_native_parts
from release.sbom import InvalidBill, check_bill, render_bill

ROOT = Path(__file__).resolve().parents[2]

PIN = f"thing==1.0 \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'a' * 64}\n    # via x\n"
METADATA = "Metadata-Version: 2.4\nName: Thing\nVersion: 1.0\n"
CRATE = {"name": "crate", "version": "2", "purl": "pkg:cargo/crate@2"}
BILL = {"components": [CRATE | {"licenses": [{"expression": "MIT OR Apache-2.0"}]}]}


def install(site: Path, metadata: str = METADATA, **files: str) -> Path:
    """Put a distribution into a folder as pip does."""
    info = site / "thing-1.0.dist-info"
    info.mkdir(parents=True)
    contents = {"METADATA": metadata} | {
        name.replace("__", "/").replace("_", "."): text for name, text in files.items()
    }
    for name, text in contents.items():
        (info / name).parent.mkdir(exist_ok=True)
        (info / name).write_text(text)
    (info / "RECORD").write_text("".join(f"{info.name}/{name},,\n" for name in contents))
    return site


# --- What is installed --------------------------------------------------------------------
@pytest.mark.hostile("D03")
def test_what_ships_is_installed_as_it_is_pinned_and_listed_in_full() -> None:
    pins = read_pins((ROOT / "packaging" / "requirements.txt").read_text())
    site = next((Path(sys.prefix) / "lib").glob("python3.*")) / "site-packages"
    parts = find_parts(pins, site)
    assert [part.name for part in parts] == sorted(pin.name for pin in pins)
    assert all(part.texts and part.hashes and part.licence for part in parts)
    bill = render_bill("1.2.3", parts, 1_800_000_000)
    assert bill == render_bill("1.2.3", parts, 1_800_000_000)
    listed = json.loads(bill)
    assert [one["name"] for one in listed["components"]] == [part.name for part in parts]
    assert listed["metadata"]["component"]["version"] == "1.2.3"
    # It raises where a crate has no notice, and says what to do.
    texts = render_licences("1.2.3", "ours", parts)
    assert all(f"\n{part.name} {part.version}: " in texts for part in parts)
    crates = {one.name: one.version for part in parts for one in part.inside}
    kept = read_notices()
    assert kept
    assert sorted(set(kept) - set(crates)) == [], "of crates that no wheel has: delete the files"
    for name, notice in kept.items():
        assert f"\n--- {name} {crates[name]}\n\n{notice.about}\n" in texts
        assert notice.texts in texts


FLOORS = {
    # The first versions without a known hole in what we use of them.
    "h11": (0, 16),
    "wsproto": (1, 3),
    "h2": (4, 3),
    "werkzeug": (3, 1, 6),
}


@pytest.mark.hostile("D03")
@pytest.mark.parametrize("name", FLOORS)
def test_nothing_ships_that_has_a_known_hole(name: str) -> None:
    pins = read_pins((ROOT / "packaging" / "requirements.txt").read_text())
    (version,) = [pin.version for pin in pins if pin.name == name]
    assert tuple(int(part) for part in version.split(".")) >= FLOORS[name]
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in declared:
        if re.match(rf"{name}\b", requirement):
            floor = re.search(r">=([0-9.]+)", requirement)
            assert floor is not None
            assert tuple(int(part) for part in floor[1].split(".")) >= FLOORS[name]


@pytest.mark.hostile("D03")
def test_a_pin_has_its_hashes() -> None:
    (pin,) = read_pins(PIN)
    assert pin == ("thing", "1.0", ("a" * 64, "b" * 64))


@pytest.mark.parametrize(
    ("field", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("License: Apache 2.0", "Apache-2.0"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License: BSD License", "BSD License"),
        ("Author: x", "see its text"),
    ],
)
def test_a_licence_is_called_as_the_package_calls_it(
    tmp_path: Path, field: str, licence: str
) -> None:
    site = install(tmp_path, f"{METADATA}{field}\n", licenses__LICENSE="the text")
    (part,) = find_parts(read_pins(PIN), site)
    assert (part.licence, part.purl) == (licence, "pkg:pypi/thing@1.0")
    assert part.texts == (Text("LICENSE", "the text"),)
    check_bill(render_bill("1.2.3", [part], 0))


def test_a_package_without_a_licence_s_text_stops_the_release(tmp_path: Path) -> None:
    with pytest.raises(NotAsPinned, match=r"thing 1\.0 has no licence's text"):
        find_parts(read_pins(PIN), install(tmp_path))


@pytest.mark.parametrize("version", ["1.1", ""])
def test_another_version_than_is_pinned_stops_the_release(tmp_path: Path, version: str) -> None:
    site = tmp_path
    if version:
        install(site, METADATA.replace("1.0", version), LICENSE="x")
    with pytest.raises(NotAsPinned, match=r"pinned to 1\.0"):
        find_parts(read_pins(PIN), site)


def test_what_is_linked_into_a_package_is_listed_inside_it(tmp_path: Path) -> None:
    site = install(tmp_path, LICENSE="x", sboms__thing_json=json.dumps(BILL))
    (part,) = find_parts(read_pins(PIN), site)
    assert part.inside == (Part("crate", "2", "pkg:cargo/crate@2", "MIT OR Apache-2.0", ()),)
    (component,) = json.loads(render_bill("1.2.3", [part], 0))["components"]
    assert component["components"][0]["purl"] == "pkg:cargo/crate@2"
    assert "with crate 2: MIT OR Apache-2.0" in render_licences("1.2.3", "ours", [part])


def test_what_is_linked_into_a_package_without_a_licence_stops_the_release(tmp_path: Path) -> None:
    bill = json.dumps({"components": [CRATE]})
    site = install(tmp_path, LICENSE="x", sboms__thing_json=bill)
    with pytest.raises(NotAsPinned, match="crate 2 has no licence"):
        find_parts(read_pins(PIN), site)


# --- Texts --------------------------------------------------------------------------------
def test_a_text_that_points_elsewhere_brings_that_too(tmp_path: Path) -> None:
    (tmp_path / "GPL-3").write_text("the whole of it")
    (tmp_path / "GPL").symlink_to("GPL-3")
    pointing = "in /usr/share/common-licenses/GPL-3', and '/usr/share/common-licenses/GPL'."
    part = Part("lib", "1", "pkg:deb/debian/lib@1", "x", (Text("copyright", pointing),))
    text = render_licences("1.2.3", "ours", [part], common=tmp_path)
    assert text.count("the whole of it") == 1
    (tmp_path / "GPL-3").unlink()
    with pytest.raises(NotAsPinned, match="GPL-3"):
        render_licences("1.2.3", "ours", [part], common=tmp_path)


def test_a_part_without_a_text_stops_the_release() -> None:
    with pytest.raises(NotAsPinned, match="lib 1"):
        render_licences("1.2.3", "ours", [Part("lib", "1", "pkg:deb/debian/lib@1", "x", ())])


# --- The built program --------------------------------------------------------------------
@pytest.mark.parametrize("owners", ["", "one:amd64: /l/libx.so.1\ntwo:amd64: /l/libx.so.1\n"])
def test_a_library_of_nobody_s_or_of_two_stops_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owners: str
) -> None:
    (tmp_path / "_internal").mkdir()
    (tmp_path / "_internal" / "libx.so.1").write_text("")
    for name, says in (("dpkg", "amd64"), ("dpkg-query", owners)):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\nprintf '%s' '{says}'\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAsPinned, match=r"libx\.so\.1 is of [02] packages"):
        find_native_parts(tmp_path, Path(sys.executable))


def test_a_bill_that_the_schema_does_not_allow_is_refused() -> None:
    bill = json.loads(render_bill("1.2.3", [], 0))
    bill["components"] = [{"name": "x"}]
    with pytest.raises(InvalidBill):
        check_bill(json.dumps(bill))
