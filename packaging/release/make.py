"""Make a release: all that publishing needs lies in dist/ afterwards. Nothing is published.

    make release VERSION=x.y.z [SIGN_KEY=path] [TRIAL=1]

It stops at the first thing that is not as it must be, says what to do, and changes no file
that git knows. A trial passes over what only a real release needs (a clean tree, a dated
section of the changelog, the tests); what it makes is marked as such and is never signed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from generate import man
from release.archives import build_archives
from release.gate import ReleaseFailed, check_version, commit_time, faults
from release.licences import render_licences
from release.papers import find_all_parts, render_notes
from release.parts import NotAsPinned
from release.sbom import InvalidBill, render_bill
from release.sums import allowed_signer, check_sums, sign_sums, write_sums
from release.try_out import FORMS, find_built, try_form

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGING: Final = ROOT / "packaging"
TRIAL: Final = "TRIAL"
"""The file that marks a trial, and says what it passed over."""


class Release:
    """One release on its way. Each step leaves its files in ``dist``."""

    def __init__(self, version: str, key: Path | None, *, is_trial: bool) -> None:
        self.version = version
        self.key = key
        self.is_trial = is_trial
        self.dist = ROOT / "dist"
        self.work = ROOT / "build" / "release"
        self.epoch = commit_time(ROOT)
        self.passed_over: list[str] = []
        self.signer = ""

    def run(self) -> None:
        """Do every step, one line each."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("version, tree, changelog", self.check),
            ("tests", self.test),
            ("binaries", partial(self.make, "binary")),
            ("the binaries without Python", partial(self.make, "smoke")),
            ("wheel and source, twice", self.build_archives),
            ("man page, installer, notes", self.add_papers),
            ("licences and bill of materials", self.describe),
            ("sums", self.sum_up),
            *((f"try the {form}", partial(self.attempt, form)) for form in FORMS),
            ("signature", self.sign),
        ]
        for number, (name, step) in enumerate(steps, 1):
            with timed(f"{number:2}/{len(steps)} {name}"):
                step()

    # --- What is to be released -------------------------------------------------------
    def check(self) -> None:
        """Stop, or note what a trial passes over. From here on the folders are ours."""
        if self.is_trial and self.key is not None:
            raise ReleaseFailed("a trial is never signed: leave out SIGN_KEY or TRIAL")
        if self.key is not None:
            # Now, and not after half an hour.
            allowed_signer(self.key)
        check_version(ROOT, self.version)
        found = list(faults(ROOT, self.version))
        if found and not self.is_trial:
            raise ReleaseFailed("\n".join(found))
        self.passed_over += found
        for folder in (self.dist, self.work):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def test(self) -> None:
        """Run the tests."""
        if self.is_trial:
            self.passed_over.append("the tests were not run")
        else:
            self.make("test")

    def make(self, target: str) -> None:
        """Make a target of the Makefile; what it says is in a file, and here if it fails."""
        log = self.work / f"make-{target}.log"
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(self.epoch)}
        # Its own make: the flags of the one that runs this are not its.
        environment.pop("MAKEFLAGS", None)
        with log.open("wb") as output:
            done = subprocess.run(
                ["make", target], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        if done.returncode != 0:
            end = log.read_text("utf-8", "replace")[-2000:]
            raise ReleaseFailed(f"`make {target}` failed; all of it is in {log}:\n{end}")

    # --- What it consists of ----------------------------------------------------------
    def build_archives(self) -> None:
        """Build wheel and source archive."""
        build_archives(ROOT, self.work, self.dist, self.version, self.epoch)

    def add_papers(self) -> None:
        """Put beside them what is read or run before anything is installed."""
        man.write_page(self.dist / "agentgather.1")
        shutil.copyfile(PACKAGING / "install.sh", self.dist / "install.sh")
        (self.dist / "install.sh").chmod(0o755)
        notes = render_notes(ROOT, self.version, is_trial=self.is_trial)
        (self.dist / "RELEASE_NOTES.md").write_text(notes, "utf-8")
        if self.is_trial:
            (self.dist / TRIAL).write_text("".join(f"{one}\n" for one in self.passed_over), "utf-8")

    def describe(self) -> None:
        """Say what is bundled, and by what right."""
        parts = find_all_parts(ROOT, find_built(self.dist, self.version, ".tar.gz"), self.work)
        licences = render_licences(self.version, (ROOT / "LICENSE").read_text("utf-8"), parts)
        (self.dist / "LICENSES.txt").write_text(licences, "utf-8")
        bill = render_bill(self.version, parts, self.epoch)
        (self.dist / f"agentgather-{self.version}.cdx.json").write_text(bill, "utf-8")

    def sum_up(self) -> None:
        """List all that was made."""
        write_sums(self.dist)
        check_sums(self.dist)

    # --- Whether it works -------------------------------------------------------------
    def attempt(self, form: str) -> None:
        """Install one artefact from scratch, and run what came of it."""
        folder = self.work / f"try-{form}"
        folder.mkdir()
        try_form(form, self.dist, folder, self.version, PACKAGING)

    def sign(self) -> None:
        """Sign the sums of what was tried, unless nobody named a key."""
        check_sums(self.dist)
        if self.key is not None:
            self.signer = sign_sums(self.dist, self.key)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Print a step's name when it begins, and how long it took when it is done."""
    print(f"{name:<40}", end="", flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed")
        raise
    print(f"{time.monotonic() - begin:8.1f} s")


def main(arguments: list[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", help="x.y.z, as the program says it")
    parser.add_argument("--sign-key", type=Path, help="a key of OpenSSH; without one, unsigned")
    parser.add_argument("--trial", action="store_true", help="no release: marked and unsigned")
    given = parser.parse_args(arguments)
    try:
        release = Release(given.version, given.sign_key, is_trial=given.trial)
        release.run()
    except (ReleaseFailed, NotAsPinned, InvalidBill) as error:
        print(error, file=sys.stderr)
        return 1
    if release.is_trial:
        print("A TRIAL, NOT A RELEASE. It passed over:", *release.passed_over, sep="\n  ")
    elif release.key is None:
        print("Not signed: no SIGN_KEY was named. Publish nothing of it.")
    else:
        print(f"The line to verify it with:\n  {release.signer}", end="")
    print(f"All of it is in {release.dist}")
    return 0


if __name__ == "__main__":
    # The path to these modules; what is run from here is to find its own.
    os.environ.pop("PYTHONPATH", None)
    sys.exit(main(sys.argv[1:]))
