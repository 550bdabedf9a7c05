"""Notices of what is linked into a wheel, which brings its list of crates and not their texts.

    python packaging/release/notices.py librust-CRATE-dev_*.deb ...

takes them from Debian's packages, which have each crate's source with its licence, and puts
them into ``notices/``, one file for each crate: first where it is from and what Debian says of
the copyright, then the crate's own texts. Debian's version is often another one than the
wheel's; the file says which. A release reads the files and needs no network.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final, NamedTuple

NOTICES: Final = Path(__file__).parent / "notices"
GAPS: Final[frozenset[str]] = frozenset()
"""Crates whose notice could not be had. LICENSES.txt says that it lacks them."""

HOW_TO_TAKE: Final = (
    "fetch Debian's package of it (apt-get download librust-NAME-dev, in sid), then"
    " python packaging/release/notices.py FILE.deb; if Debian has none, write"
    " packaging/release/notices/NAME.txt like the others from the crate's source, or add the"
    " name to GAPS in packaging/release/notices.py"
)
_BREAK: Final = "\n--- "
_TEXT_NAME: Final = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)
_APACHE: Final = re.compile(r"apache", re.IGNORECASE)
"""The text that a release has anyway."""


class Notice(NamedTuple):
    """What is to be passed on with a crate: ``about`` is of it alone, ``texts`` may be shared."""

    about: str
    texts: str


class NoNotice(Exception):
    """A package is not as Debian packs a crate, or has no licence's text."""


def read_notices(folder: Path = NOTICES) -> dict[str, Notice]:
    """Give the notices that are kept, by the name of the crate. A file without a text is none."""
    notices = {}
    for path in sorted(folder.glob("*.txt")):
        about, found, texts = path.read_text("utf-8").partition(_BREAK)
        if found:
            notices[path.stem] = Notice(about.strip(), f"{_BREAK}{texts}".strip())
    return notices


def take_notice(package: Path, folder: Path = NOTICES) -> Path:
    """Write the notice of the crate in a package of Debian's. Gives the file.

    Raises:
        NoNotice: the package has no crate, or the crate no text.

    """
    name, version = (_dpkg("--field", package, field) for field in ("Package", "Version"))
    with tempfile.TemporaryDirectory() as unpacked:
        _dpkg("--extract", package, unpacked)
        share = Path(unpacked, "usr", "share")
        crates = list(share.glob("cargo/registry/*/Cargo.toml"))
        if len(crates) != 1:
            raise NoNotice(f"{package} has {len(crates)} crates")
        crate = tomllib.loads(crates[0].read_text("utf-8"))["package"]
        texts = [
            f"{_BREAK}{path.name}\n\n{path.read_text('utf-8').strip()}\n"
            for path in sorted(crates[0].parent.iterdir())
            if _TEXT_NAME.match(path.name) and not _APACHE.search(path.name)
        ]
        if not texts:
            raise NoNotice(f"{package} has no text of {crate['name']}")
        copyrights = (share / "doc" / name / "copyright").read_text("utf-8")
    about = f"From {name} {version} of Debian, which is {crate['name']} {crate['version']}.\n"
    to = folder / f"{crate['name']}.txt"
    to.write_text("\n".join([about, *_holders(copyrights)]) + "".join(texts), "utf-8")
    return to


def _holders(copyrights: str) -> list[str]:
    """Give what a copyright file (DEP 5) says of files that are not Debian's own."""
    paragraphs = re.split(r"\n\s*\n", copyrights.strip())
    return [
        f"{one}\n"
        for one in paragraphs
        if one.startswith("Files:") and not one.startswith("Files: debian/")
    ]


def _dpkg(action: str, *arguments: Path | str) -> str:
    run = ["dpkg-deb", action, *map(str, arguments)]
    return subprocess.run(run, check=True, capture_output=True, encoding="utf-8").stdout.strip()


if __name__ == "__main__":
    for given in sys.argv[1:]:
        print(take_notice(Path(given)))
