"""Wheel and source archive, from nothing but the files that git knows, the same each time."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path
from typing import Final

from release.gate import ReleaseFailed

_BACKEND: Final = (
    "import sys; from setuptools import build_meta as backend; made = sys.argv[1]; "
    "backend.build_sdist(made); backend.build_wheel(made)"
)
"""The two calls that any front end makes (PEP 517). The backend's version is pinned with the
tools that test the program, and is in the environment that runs this."""


_RELATIVE: Final = re.compile(
    r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?![a-z]+:|#)(?P<target>[^)\s]+)\)"
)


def build_archives(root: Path, work: Path, dist: Path, version: str, epoch: int) -> list[Path]:
    """Build both twice, in two folders; give them once they are the same.

    Raises:
        ReleaseFailed: they cannot be built, or are not the same.

    """
    results = []
    for name in ("first", "second"):
        source, made = work / name / "source", work / name / "made"
        shutil.rmtree(work / name, ignore_errors=True)
        copy_source(root, source, epoch)
        _lead_to_the_repository(source, version)
        # Where the backend looks for it.
        shutil.copy2(source / "packaging" / "release" / "MANIFEST.in", source)
        made.mkdir()
        _build(source, made, epoch)
        results.append({path.name: path for path in sorted(made.iterdir())})
    first, second = results
    for name in first.keys() | second.keys():
        if name not in first or name not in second or _hash(first[name]) != _hash(second[name]):
            raise ReleaseFailed(f"{name} came out different the second time: compare in {work}")
    return [Path(shutil.copyfile(path, dist / name)) for name, path in sorted(first.items())]


def copy_source(root: Path, target: Path, epoch: int) -> None:
    """Copy what git tracks or would track, with the modes and times of any other checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    ).stdout
    for name in sorted(filter(None, listed.decode().split("\0"))):
        path = root / name
        if path.is_file():  # one that was removed, and is not committed so, is still listed
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            os.utime(copy, (epoch, epoch))


def _lead_to_the_repository(source: Path, version: str) -> None:
    """Make the README's links absolute: PyPI shows it, and has none of the files beside it."""
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    readme = source / project["readme"]
    text = absolute_links(readme.read_text("utf-8"), project["urls"]["Source"], f"v{version}")
    readme.write_text(text, "utf-8")


def absolute_links(text: str, repository: str, tag: str) -> str:
    """Have each relative link of a page in Markdown lead into a repository at GitHub."""

    def absolute(found: re.Match[str]) -> str:
        image, text, target = found["image"], found["text"], found["target"]
        return f"{image}[{text}]({repository}/{'raw' if image else 'blob'}/{tag}/{target})"

    return _RELATIVE.sub(absolute, text)


def _build(source: Path, made: Path, epoch: int) -> None:
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    built = subprocess.run(
        [sys.executable, "-c", _BACKEND, str(made)],
        cwd=source,
        env=environment,
        umask=0o022,
        capture_output=True,
        text=True,
    )
    if built.returncode != 0:
        raise ReleaseFailed(f"wheel and source cannot be built:\n{built.stderr[-2000:]}")
    for path in made.glob("*.tar.gz"):
        pack_again(path, epoch)


def pack_again(path: Path, epoch: int) -> None:
    """Write a `.tar.gz` anew, without what tells when, where and by whom it was made."""
    with tarfile.open(path) as before:
        members = [(one, before.extractfile(one)) for one in before.getmembers()]
        with (
            BytesIO() as buffer,
            gzip.GzipFile("", "wb", 9, buffer, mtime=epoch) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as after,
        ):
            for member, content in sorted(members, key=lambda one: one[0].name):
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mtime = epoch
                member.pax_headers = {}
                after.addfile(member, content)
            after.close()
            packed.close()
            data = buffer.getvalue()
    path.write_bytes(data)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
