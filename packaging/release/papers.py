"""What goes beside the artefacts: the notes, and all the parts that the papers list."""

import sys
from pathlib import Path

from release.gate import changelog_section
from release.parts import Part, find_parts, read_pins
from release.parts_native import find_native_parts
from release.try_out import unpack


def render_notes(root: Path, version: str, *, is_trial: bool) -> str:
    """Give the section of the changelog, as a page of its own."""
    heading, body = changelog_section(root, version)
    mark = "**A trial, not a release.**\n\n" if is_trial else ""
    return f"{mark}# agentgather {heading}\n\n{body}\n"


def find_all_parts(root: Path, tarball: Path, work: Path) -> list[Part]:
    """Give what pip installs with the wheel, and what else the built program holds.

    Raises:
        NotAsPinned: as ``parts.find_parts`` and ``parts_native.find_native_parts``.

    """
    packaging, built_with = root / "packaging", root / "build" / "venv"
    shipped = read_pins((packaging / "requirements.txt").read_text("utf-8"))
    tools = read_pins((packaging / "requirements-build.txt").read_text("utf-8"))
    # The first code to run in the built program is PyInstaller's own.
    bootloader = [pin for pin in tools if pin.name == "pyinstaller"]
    unpack(tarball, work / "unpacked")
    (folder,) = (path for path in (work / "unpacked").iterdir() if path.is_dir())
    return [
        *find_parts(shipped, _site_packages(Path(sys.prefix))),
        *find_parts(bootloader, _site_packages(built_with)),
        *find_native_parts(folder, built_with / "bin" / "python"),
    ]


def _site_packages(environment: Path) -> Path:
    return next((environment / "lib").glob("python3.*")) / "site-packages"
