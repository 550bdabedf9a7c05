"""What goes into the built program, without building it."""

import ast
import io
import os
import re
import runpy
import tarfile
from pathlib import Path

import pytest

from binary.build import missing_modules
from binary.glibc import NeedsNewer, check_folder, needs_of
from binary.single_file import MAGIC, folder_name, join, pack
from entry import BUNDLES, find_certificates

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"


def test_what_is_left_out_and_imported_for_certain_is_named() -> None:
    warnings = """
missing module named winreg - imported by mimetypes (top-level)
excluded module named certifi - imported by httpcore._ssl (top-level)
excluded module named lzma - imported by shutil (optional), tarfile (delayed, conditional)
excluded module named bz2 - imported by shutil (optional), encodings.bz2_codec (top-level)
excluded module named pydoc - imported by pdb (delayed), ours (top-level)
"""
    assert missing_modules(warnings) == ["certifi, by httpcore._ssl", "pydoc, by ours"]


# --- The machine's C library --------------------------------------------------------------
@pytest.mark.parametrize(
    ("listing", "needs"),
    [
        (
            "  0x0010:   Name: GLIBC_2.9  Flags: none\n  0x20: Name: GLIBC_2.14  Flags: none",
            (2, 14),
        ),
        ("Name: GLIBC_2.2.5  Name: GCC_3.0  Name: OPENSSL_3.0.0", (2, 2)),
        ("Name: GLIBC_2.4  Name: GLIBC_ABI_DT_RELR", (2, 36)),
        ("Name: GLIBC_PRIVATE", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_the_oldest_glibc_is_the_highest_version_that_is_named(
    listing: str, needs: tuple[int, int]
) -> None:
    assert needs_of(listing) == needs


def test_a_folder_that_needs_a_newer_glibc_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "sh").write_bytes(Path("/bin/sh").read_bytes())
    (tmp_path / "text").write_text("GLIBC_2.99")
    assert (2, 2) <= check_folder(tmp_path, (2, 98)) < (2, 99)
    with pytest.raises(NeedsNewer, match=r"is needed by inner/sh; 2\.1 is the most"):
        check_folder(tmp_path, (2, 1))


# --- The machine's certificates -----------------------------------------------------------
def test_the_first_bundle_that_is_there_is_used(tmp_path: Path) -> None:
    bundles = tuple(str(tmp_path / name) for name in ("none", "second", "third"))
    environment: dict[str, str] = {}
    find_certificates(environment, bundles)
    assert environment == {}
    for name in ("second", "third"):
        (tmp_path / name).touch()
    find_certificates(environment, bundles)
    assert environment == {"SSL_CERT_FILE": bundles[1]}
    assert all(path.startswith("/etc/") for path in BUNDLES)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_what_the_user_says_of_certificates_holds(name: str, tmp_path: Path) -> None:
    (tmp_path / "bundle").touch()
    environment = {name: ""}
    find_certificates(environment, (str(tmp_path / "bundle"),))
    assert environment == {name: ""}


def test_the_entry_runs_nothing_when_it_is_imported() -> None:
    assert "run" in runpy.run_path(str(PACKAGING / "entry.py"), run_name="imported")


# --- The two forms ------------------------------------------------------------------------
def make_folder(folder: Path, mtime: int) -> Path:
    """Make the same files, in another order each time."""
    names = ["b/two", "a/one", "program"]
    for name in names if mtime % 2 else reversed(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(0o700 if name == "program" else 0o600 if mtime % 2 else 0o664)
        os.utime(path, (mtime, mtime))
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = pack(make_folder(tmp_path / "first", 1), "top", 1000)
    second = pack(make_folder(tmp_path / "second", 2), "top", 1000)
    assert first == second
    assert folder_name("1.0", first) == folder_name("1.0", second)
    (tmp_path / "second" / "program").write_text("Program")
    assert folder_name("1.0", pack(tmp_path / "second", "top", 1000)) != folder_name("1.0", first)


def test_a_tarball_has_one_folder_and_nobodys_names(tmp_path: Path) -> None:
    payload = pack(make_folder(tmp_path / "folder", 1), "top", 1000)
    with tarfile.open(fileobj=io.BytesIO(payload)) as archive:
        found = [(one.name, oct(one.mode), one.mtime) for one in archive]
        assert {(one.uid, one.gid, one.uname, one.gname) for one in archive} == {(0, 0, "", "")}
    assert found == [
        ("top", "0o755", 1000),
        ("top/a", "0o755", 1000),
        ("top/a/one", "0o644", 1000),
        ("top/b", "0o755", 1000),
        ("top/b/two", "0o644", 1000),
        ("top/program", "0o755", 1000),
    ]


def test_a_link_has_no_place_in_a_tarball(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        pack(tmp_path, "top", 1000)


def test_the_head_and_the_packer_agree_on_the_trailer() -> None:
    header = (PACKAGING / "binary" / "unpack" / "unpack.h").read_text("utf-8")
    assert f'#define MAGIC "{MAGIC.decode()}"' in header
    assert f"#define TRAILER_BYTES {len(join(b'', b''))}\n" in header
    assert join(b"head", b"payload").endswith(b"payload\7\0\0\0\0\0\0\0AGPACK01")


# --- What it is built from ----------------------------------------------------------------
def test_the_spec_leaves_out_nothing_that_the_program_imports_itself() -> None:
    tree = ast.parse((PACKAGING / "agentgather.spec").read_text("utf-8"))
    (unused,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "UNUSED"
    )
    left_out = {node.value for node in ast.walk(unused) if isinstance(node, ast.Constant)}
    assert "tkinter" in left_out
    ours = {
        name
        for path in (ROOT / "agentgather").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in imported(node)
    }
    assert {"sqlite3", "ssl"} <= ours
    assert ours & left_out == set()


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [one.name for one in node.names] if isinstance(node, ast.Import) else []


def test_what_the_tools_bring_along_is_pinned_and_hashed() -> None:
    text = (PACKAGING / "requirements-build.txt").read_text("utf-8")
    pins = re.findall(r"^(\S+)==\S+ \\\n    --hash=sha256:[0-9a-f]{64}", text, re.M)
    assert "pyinstaller" in pins
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.M))
    shipped = (PACKAGING / "requirements.txt").read_text("utf-8")
    assert [name for name in pins if re.search(rf"^{name}==", shipped, re.M)] == []
