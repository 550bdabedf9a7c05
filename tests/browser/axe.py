"""axe-core, which looks for what keeps people with a disability out. Pinned by the lock file."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from playwright.sync_api import Page

HERE: Final = Path(__file__).resolve().parent
SOURCE: Final = HERE / "node_modules" / "axe-core" / "axe.min.js"
GRAVE: Final = frozenset({"serious", "critical"})
INSTALL_SECONDS: Final = 300


class AxeMissing(RuntimeError):
    """axe-core is not installed and cannot be. The text says what to do."""


class Violation(NamedTuple):
    """One rule that the page breaks, and the elements that break it."""

    rule: str
    impact: str
    help: str
    elements: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rule} ({self.impact}): {self.help}: {', '.join(self.elements)}"


@cache
def axe_source() -> str:
    """Give axe-core's script; install it first where it is missing.

    Raises:
        AxeMissing: there is no npm, or it failed.

    """
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["axe-core"]
    if not _is_installed(wanted):
        _install()
    return SOURCE.read_text("utf-8")


def find_violations(page: Page, *, within: str | None = None) -> list[Violation]:
    """Give the serious and critical violations in the page, or in a part of it (CSS)."""
    # A script of the debugger: the page's own policy does not apply to it, and stays in force.
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe_source() + "\n;undefined")
    result: dict[str, Any] = page.evaluate(
        "within => axe.run(within ?? document, {resultTypes: ['violations']})", within
    )
    return [
        Violation(
            found["id"],
            found["impact"],
            found["help"],
            tuple(str(node["target"][-1]) for node in found["nodes"]),
        )
        for found in result["violations"]
        if found["impact"] in GRAVE
    ]


def _is_installed(version: str) -> bool:
    package = SOURCE.with_name("package.json")
    return SOURCE.is_file() and json.loads(package.read_text())["version"] == version


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise AxeMissing("axe-core is not installed and npm is missing: run `make test`")
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode != 0:
        raise AxeMissing(f"npm cannot install axe-core: {done.stderr.strip()}")
