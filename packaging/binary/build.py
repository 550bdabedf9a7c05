"""What `make binary` does: the built program as a tarball and as a single file, in dist/.

    PYTHONPATH=packaging build/venv/bin/python -m binary.build

The same input gives the same bytes: time, hash seed, order and owners are fixed here.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from binary import glibc, single_file
from binary.manifest import write_manifest

PACKAGING: Final = Path(__file__).resolve().parent.parent
ROOT: Final = PACKAGING.parent
WORK: Final = ROOT / "build" / "binary"
DIST: Final = ROOT / "dist"
FIRST_OF_1980: Final = 315_532_800
"""The earliest time that a zip file can hold, unless SOURCE_DATE_EPOCH names another."""

# Imported for certain, by modules that are never imported themselves or know what to do then.
_HARMLESS: Final = frozenset({"encodings.bz2_codec", "zipimport"})
_LEFT_OUT: Final = re.compile(r"^excluded module named (\S+) - imported by (.*)$", re.M)
_IMPORTER: Final = re.compile(r"(\S+) \(([^)]*)\)")


def main() -> int:
    """Build, check, pack, and print what came of it."""
    begin = time.monotonic()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", FIRST_OF_1980))
    folder = freeze(epoch)
    warnings = WORK / "work" / "agentgather" / "warn-agentgather.txt"
    faults = missing_modules(warnings.read_text("utf-8"))
    if faults:
        print("left out, but imported for certain:", *faults, sep="\n  ", file=sys.stderr)
        return 1
    write_manifest(folder)
    try:
        oldest = glibc.text(glibc.check_folder(folder))
    except glibc.NeedsNewer as error:
        print(error, file=sys.stderr)
        return 1
    version = version_of(folder)
    name = f"agentgather-{version}-{platform.system().lower()}-{platform.machine()}"
    payload = single_file.pack(folder, name, epoch)
    head = WORK / "head"
    single_file.compile_head(head, single_file.folder_name(version, payload), oldest)
    DIST.mkdir(exist_ok=True)
    publish(DIST / f"{name}.tar.gz", payload, 0o644)
    publish(DIST / name, single_file.join(head.read_bytes(), payload), 0o755)
    print(f"Python {platform.python_version()}, needs glibc {oldest} or newer")
    print(f"took {time.monotonic() - begin:.0f} s")
    return 0


def freeze(epoch: int) -> Path:
    """Run PyInstaller, and give the folder with the program."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(WORK),
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        # Packed once, at the end: to unpack each module at each start would cost a sixth more.
        "PYINSTALLER_ZLIB_COMPRESSION_LEVEL": "0",
        "PYINSTALLER_CONFIG_DIR": str(WORK / "cache"),
    }
    places = ("--distpath", str(WORK), "--workpath", str(WORK / "work"))
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level=WARN", *places]
    subprocess.run([*command, PACKAGING / "agentgather.spec"], check=True, env=environment)
    return WORK / "agentgather"


def missing_modules(warnings: str) -> list[str]:
    """Name what was left out and is imported whenever its importer is, from PyInstaller's list."""
    return [
        f"{module}, by {importer}"
        for module, importers in _LEFT_OUT.findall(warnings)
        for importer, how in _IMPORTER.findall(importers)
        if how == "top-level" and importer not in _HARMLESS
    ]


def version_of(folder: Path) -> str:
    """Run the program in an empty environment, and give the version that it says."""
    said = subprocess.run(
        [folder / "agentgather", "--version"], check=True, capture_output=True, text=True, env={}
    ).stdout
    return said.split()[1]


def publish(path: Path, content: bytes, mode: int) -> None:
    """Write a file of the release in one step, and print what it is."""
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)
    digest = hashlib.sha256(content).hexdigest()
    print(f"{digest}  {path.relative_to(ROOT)}  {len(content) / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
