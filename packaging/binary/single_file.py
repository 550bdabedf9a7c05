"""The two forms that are published: a tarball of the folder, and one file that unpacks itself."""

import gzip
import hashlib
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).resolve().parent / "unpack"
MAGIC: Final = b"AGPACK01"
_C_FLAGS: Final = ("-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")


def pack(folder: Path, top: str, epoch: int) -> bytes:
    """Give a gzipped tar of a folder, the same bytes for the same files.

    Raises:
        ValueError: there is something else in it than files and folders.

    """
    buffer = BytesIO()
    with (
        gzip.GzipFile("", "wb", 9, buffer, mtime=0) as packed,
        # The oldest form, which the single file's head reads too.
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for path in [folder, *sorted(folder.rglob("*"))]:
            name = f"{top}/{path.relative_to(folder).as_posix()}".removesuffix("/.")
            member = tarfile.TarInfo(name)
            member.mtime = epoch
            # Only whether it may be run is the file's own; the umask of the build is not.
            member.mode = 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ValueError(f"{path} is neither a file nor a folder")
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                member.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(member, file)
    return buffer.getvalue()


def folder_name(version: str, payload: bytes) -> str:
    """Name the folder that a payload is unpacked into: by its version and by what is in it."""
    return f"{version}-{hashlib.sha256(payload).hexdigest()[:16]}"


def compile_head(output: Path, folder: str, glibc: str) -> None:
    """Compile the head of the single file. Linked statically, so that it can say what is missing.

    Raises:
        subprocess.CalledProcessError: the compiler has printed why.

    """
    given = (f'-DFOLDER="{folder}"', f'-DGLIBC="{glibc}"')
    # Without the paths of this machine, which would be in the file.
    sources = sorted(path.name for path in SOURCES.glob("*.c"))
    subprocess.run(
        ["gcc", *_C_FLAGS, *given, *sources, "-lz", "-o", output.resolve()], check=True, cwd=SOURCES
    )


def join(head: bytes, payload: bytes) -> bytes:
    """Put a payload behind its head, with what the head finds it by."""
    return head + payload + len(payload).to_bytes(8, "little") + MAGIC
