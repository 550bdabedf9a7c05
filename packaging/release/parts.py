"""The parts of a release that are not ours: what pip installs with it, by what right.

What ships is pinned and hashed in requirements.txt. Versions, licences and their texts come
from what is installed, which must be just that. ``sbom.py`` lists the parts, ``licences.py``
gives their texts, ``parts_native.py`` finds the parts that are no Python distributions.
"""

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.M)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_LICENCE_NAME: Final = re.compile(r"licen[cs]e|copying|copyright|notice", re.IGNORECASE)
_SPDX: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
}
"""What packages write where SPDX has a name for it. `BSD License` could be two."""


class NotAsPinned(Exception):
    """What is installed is not what ships, or nothing says by what right it is used."""


class Text(NamedTuple):
    """One file of a part that says by what right it is used."""

    title: str
    text: str


class Part(NamedTuple):
    """One part. ``hashes`` are SHA-256 of the files that pip may take for it."""

    name: str
    version: str
    purl: str
    licence: str
    texts: tuple[Text, ...]
    hashes: tuple[str, ...] = ()
    inside: tuple["Part", ...] = ()
    """What was linked into it, where its wheel says so. Their texts are not in the wheel."""


class Pin(NamedTuple):
    """One line of a requirements file."""

    name: str
    version: str
    hashes: tuple[str, ...]


def read_pins(requirements: str) -> list[Pin]:
    """Give what a requirements file of pip-compile pins, sorted by name."""
    starts = list(_PIN.finditer(requirements))
    ends = [*(found.start() for found in starts[1:]), len(requirements)]
    return sorted(
        Pin(found[1], found[2], tuple(sorted(_HASH.findall(requirements[found.start() : end]))))
        for found, end in zip(starts, ends, strict=True)
    )


def find_parts(pins: list[Pin], site_packages: Path) -> list[Part]:
    """Give the part that each pin is, as it is installed there.

    Raises:
        NotAsPinned: another version is, or it has no licence's text.

    """
    installed = {
        _normal(found.metadata["Name"]): found
        for found in metadata.distributions(path=[str(site_packages)])
    }
    return [_part(pin, installed.get(_normal(pin.name))) for pin in pins]


def _part(pin: Pin, found: metadata.Distribution | None) -> Part:
    if found is None or found.version != pin.version:
        there = "nothing" if found is None else found.version
        raise NotAsPinned(f"{pin.name} is pinned to {pin.version}, and {there} is installed")
    if not pin.hashes:
        raise NotAsPinned(f"{pin.name} has no hash")
    texts = tuple(_texts(found))
    if not texts:
        raise NotAsPinned(f"{pin.name} {pin.version} has no licence's text in its dist-info")
    purl = f"pkg:pypi/{_normal(pin.name)}@{pin.version}"
    return Part(
        pin.name, pin.version, purl, _licence(found), texts, pin.hashes, tuple(_inside(found))
    )


def _texts(found: metadata.Distribution) -> list[Text]:
    """Give the licence files: those that it declares, and those that are called so."""
    declared = set(found.metadata.get_all("License-File") or ())
    texts = []
    for path in sorted(found.files or ()):
        if not path.parts[0].endswith(".dist-info"):
            continue
        inner = "/".join(path.parts[1:]).removeprefix("licenses/")
        if inner in declared or _LICENCE_NAME.search(path.name):
            # Some are in Latin-1; a letter that is lost harms less than a text that is.
            text = Path(str(path.locate())).read_text("utf-8", "replace")
            texts.append(Text(inner, text))
    return texts


def _licence(found: metadata.Distribution) -> str:
    """Say what the licence is called: in SPDX's words where the package does so itself."""
    fields = found.metadata
    expression: str | None = fields["License-Expression"]
    if expression:
        return expression
    name = (fields["License"] or "").strip()
    if not name or "\n" in name or len(name) > 60:
        classifiers = fields.get_all("Classifier") or ()
        names = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
        return " AND ".join(_SPDX.get(one, one) for one in names) or "see its text"
    return _SPDX.get(name, name)


def _inside(found: metadata.Distribution) -> list[Part]:
    """Give the parts that a wheel's own bills of materials list (PEP 770, CycloneDX)."""
    parts = []
    for path in sorted(found.files or ()):
        if path.parts[1:2] == ("sboms",) and path.name.endswith(".json"):
            bill = json.loads(Path(str(path.locate())).read_text("utf-8"))
            parts += [_part_inside(one) for one in bill.get("components", ())]
    return sorted(parts, key=lambda one: (one.name, one.version))


def _part_inside(component: dict[str, Any]) -> Part:
    name, version = component["name"], component.get("version", "")
    licences = []
    for choice in component.get("licenses", ()):
        named = choice.get("license", {})
        licences.append(choice.get("expression") or named.get("id") or named["name"])
    if not licences:
        raise NotAsPinned(f"{name} {version} has no licence")
    return Part(name, version, component.get("purl", ""), " AND ".join(licences), ())


def _normal(name: str) -> str:
    """Give a name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
