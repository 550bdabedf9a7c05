"""Write ``MANIFEST.sha256`` into the folder of a built program.

    python packaging/binary/manifest.py FOLDER

It lists every file of the folder, for ``agentgather doctor --verify`` and for
``sha256sum --check MANIFEST.sha256`` in the folder. It is the last step of a build: a file that
comes later counts as additional. Nothing of ours is imported, so any Python can run it.
"""

import hashlib
import os
import sys
from pathlib import Path
from typing import Final

MANIFEST: Final = "MANIFEST.sha256"


def manifest_of(folder: Path) -> str:
    """Give the list: a digest, two spaces and a path in each line, sorted by path.

    Raises:
        ValueError: a name, or what is there, has no place in such a list.

    """
    folder = folder.resolve()
    lines = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        for name in (*folders, *names):
            path = Path(where, name)
            shown = path.relative_to(folder).as_posix()
            if "\n" in shown or "\\" in shown or not shown.isprintable():
                raise ValueError(f"{shown!r} cannot be listed")
            if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(folder)):
                raise ValueError(f"{shown} is a link to no file of the folder")
            if path.is_dir() or shown == MANIFEST:
                continue
            if not path.is_file():
                raise ValueError(f"{shown} is no file")
            lines.append((shown, hashlib.sha256(path.read_bytes()).hexdigest()))
    return "".join(f"{digest}  {shown}\n" for shown, digest in sorted(lines))


def write_manifest(folder: Path) -> None:
    """Write the list into the folder. Errors as of :func:`manifest_of`, and of the disk."""
    (folder / MANIFEST).write_text(manifest_of(folder), "utf-8")


def _raise(error: OSError) -> None:
    raise error


def main(arguments: list[str]) -> int:
    """Run the command."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    try:
        write_manifest(folder)
    except (OSError, ValueError) as error:
        print(f"{folder}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
