"""The parts of the built program that no requirements file pins: Python, and C libraries.

The program is built on Debian or anything like it, from libraries that dpkg knows: it says
which package and version each one is, and has the licence's text.
"""

import json
import platform
import subprocess
from pathlib import Path
from typing import Final

from release.parts import NotAsPinned, Part, Text

_ASK_PYTHON: Final = """
import decimal, json, pathlib, platform, pyexpat, sysconfig
folder = pathlib.Path(sysconfig.get_path("stdlib"))
print(json.dumps({
    "python": platform.python_version(),
    "expat": pyexpat.EXPAT_VERSION.removeprefix("expat_"),
    "libmpdec": getattr(decimal, "__libmpdec_version__", ""),
    "licence": (folder / "LICENSE.txt").read_text("utf-8"),
}))
"""
_IN_PYTHON: Final = {"expat": ("pyexpat", "MIT"), "libmpdec": ("_decimal", "BSD-2-Clause")}
"""Libraries in Python's own source, the extension that links each one, its licence."""


_IN_THE_HEAD: Final = ("libc6-dev", "zlib1g-dev")
"""What the head of the single file is linked with, statically. The C library is under the LGPL:
whoever wants another one in it finds sources and commands in the source archive."""


def find_native_parts(folder: Path, build_python: Path) -> list[Part]:
    """Give the native parts of a built folder, and of the head that makes it a single file.

    Raises:
        NotAsPinned: nobody knows where a library is from, or by what right it is used.

    """
    libraries = sorted(
        path.name
        for path in (folder / "_internal").iterdir()
        if ".so" in path.suffixes or path.suffix == ".so"
    )
    packages = {_package_of(name) for name in libraries if not _is_pythons(name)}
    names = sorted(packages | set(_IN_THE_HEAD))
    return [*_python_parts(folder, build_python), *map(_debian_part, names)]


def _is_pythons(library: str) -> bool:
    return library.startswith("libpython")


def _python_parts(folder: Path, build_python: Path) -> list[Part]:
    told = json.loads(_said_by(str(build_python), "-I", "-c", _ASK_PYTHON))
    version = told["python"]
    texts = (Text("LICENSE.txt", told["licence"]), _debian_text(_debian_python(version)))
    parts = [Part("python", version, f"pkg:generic/python@{version}", "PSF-2.0", texts)]
    for name, (extension, licence) in _IN_PYTHON.items():
        if told[name] and any((folder / "_internal").rglob(f"{extension}.*.so")):
            where = Text("where", "Its licence's text is in python's copyright file.\n")
            purl = f"pkg:generic/{name}@{told[name]}"
            parts.append(Part(name, told[name], purl, licence, (where,)))
    return parts


def _debian_python(version: str) -> str:
    """Name the package whose copyright file has the notices of what Python's source took in."""
    return "python" + version.rpartition(".")[0]


def _package_of(library: str) -> str:
    """Name the Debian package that a library is from."""
    lines = _said_by("dpkg-query", "--search", f"*/{library}").splitlines()
    owners = {line.partition(": ")[0] for line in lines if line.endswith(f"/{library}")}
    # A second architecture's has the same name.
    native = {one.partition(":")[0] for one in owners if one.endswith(f":{_architecture()}")}
    if len(native) != 1:
        raise NotAsPinned(
            f"{library} is of {len(native)} packages of this system, and must be of 1"
        )
    return native.pop()


def _debian_part(package: str) -> Part:
    name, version, source = _said_by(
        "dpkg-query",
        "--show",
        "--showformat",
        "${Package}\n${Version}\n${source:Package}",
        f"{package}:{_architecture()}",
    ).splitlines()
    distribution = platform.freedesktop_os_release()["ID"]
    purl = f"pkg:deb/{distribution}/{name}@{version}?arch={_architecture()}"
    licence = f"see {source}'s copyright file"
    return Part(name, version, purl, licence, (_debian_text(package),))


def _debian_text(package: str) -> Text:
    path = Path("/usr/share/doc") / package / "copyright"
    try:
        return Text("copyright", path.read_text("utf-8", "replace"))
    except OSError:
        raise NotAsPinned(f"there is no {path}; install {package}") from None


def _architecture() -> str:
    return _said_by("dpkg", "--print-architecture").strip()


def _said_by(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise NotAsPinned(
            f"there is no {command[0]}; build on Debian or anything like it"
        ) from None
    except subprocess.CalledProcessError as error:
        raise NotAsPinned(f"{' '.join(command[:3])}: {error.stderr.strip()}") from None
