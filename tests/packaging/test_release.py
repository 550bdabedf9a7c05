"""What keeps a release from being made, and what a release is made of."""

import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from agentgather import __version__
from release import make
from release.archives import absolute_links, build_archives, copy_source, pack_again
from release.gate import (
    ReleaseFailed,
    changelog_section,
    check_version,
    commit_time,
    faults,
)
from release.sums import (
    SIGNATURE,
    SUMS,
    allowed_signer,
    check_sums,
    sign_sums,
    verify_sums,
    write_sums,
)
from release.try_out import try_program

ROOT = Path(__file__).resolve().parents[2]

CHANGELOG = """\
# Changelog

## 1.2.3 - 2026-11-30

### Added

- A thing.

## 1.2.2 - 2026-11-01

- Older.
"""


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository that may be released as 1.2.3."""
    root = tmp_path / "tree"
    (root / "agentgather").mkdir(parents=True)
    (root / "agentgather" / "__init__.py").write_text('"""x"""\n\n__version__: Final = "1.2.3"\n')
    (root / "packaging").mkdir()
    (root / "packaging" / "install.sh").write_text("main() {\n  version=1.2.3 other=''\n}\n")
    (root / "CHANGELOG.md").write_text(CHANGELOG)
    (root / ".gitignore").write_text("dist/\n")
    script = root / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o700)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "x")
    return root


# --- What must hold ---------------------------------------------------------------------
def test_a_clean_tree_with_a_dated_section_may_be_released(tree: Path) -> None:
    check_version(tree, "1.2.3")
    assert list(faults(tree, "1.2.3")) == []
    assert changelog_section(tree, "1.2.3") == ("1.2.3 - 2026-11-30", "### Added\n\n- A thing.")


@pytest.mark.parametrize(("version", "says"), [("1.2.4", "__init__.py:3"), ("", "VERSION=x.y.z")])
def test_another_version_is_refused_with_the_line_to_change(
    tree: Path, version: str, says: str
) -> None:
    with pytest.raises(ReleaseFailed, match=says):
        check_version(tree, version)


@pytest.mark.parametrize(
    ("changelog", "says"),
    [
        (CHANGELOG.replace("1.2.3 - 2026-11-30", "Unreleased"), "make `## Unreleased` to"),
        (CHANGELOG.replace("2026-11-30", "soon"), "must be `## 1.2.3 - YYYY-MM-DD`"),
        (CHANGELOG.replace("### Added\n\n- A thing.\n\n", ""), "says nothing"),
    ],
)
def test_the_changelog_must_tell_of_the_version(tree: Path, changelog: str, says: str) -> None:
    (tree / "CHANGELOG.md").write_text(changelog)
    git(tree, "commit", "-q", "-a", "-m", "y")
    (fault,) = faults(tree, "1.2.3")
    assert says in fault


@pytest.mark.parametrize("name", ["CHANGELOG.md", "new"])
def test_a_tree_that_is_not_clean_is_refused(tree: Path, name: str) -> None:
    with (tree / name).open("a") as file:
        file.write("more\n")
    (fault,) = faults(tree, "1.2.3")
    assert fault == f"the tree is not clean: {name}"


def test_a_trial_is_never_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [__version__, "--trial", "--sign-key", str(tmp_path / "key")]
    assert make.main(arguments) == 1
    assert "never signed" in capsys.readouterr().err


def test_the_installer_must_get_the_version_that_is_released(tree: Path) -> None:
    (tree / "packaging" / "install.sh").write_text("main() {\n  version=1.2.2 other=''\n}\n")
    with pytest.raises(ReleaseFailed, match=r"install\.sh:2 says 1\.2\.2 and must say 1\.2\.3"):
        check_version(tree, "1.2.3")


def test_the_places_of_the_version_are_where_the_gate_looks() -> None:
    check_version(ROOT, __version__)


# --- Archives ---------------------------------------------------------------------------
def test_only_what_git_knows_is_built_from(tree: Path, tmp_path: Path) -> None:
    (tree / "dist").mkdir()
    (tree / "dist" / "left").write_text("x")
    (tree / "new").write_text("x")
    (tree / "CHANGELOG.md").unlink()
    copy_source(tree, tmp_path / "copy", commit_time(tree))
    copied = {path.name: path.stat() for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert sorted(copied) == [".gitignore", "__init__.py", "install.sh", "new", "run.sh"]
    assert {name: found.st_mode & 0o777 for name, found in copied.items()} == {
        **dict.fromkeys(copied, 0o644),
        "run.sh": 0o755,
    }
    assert {found.st_mtime for found in copied.values()} == {commit_time(tree)}


def test_an_archive_that_was_packed_again_tells_of_no_time_and_nobody(tmp_path: Path) -> None:
    for name, order in (("a", ("x", "y")), ("b", ("y", "x"))):
        with tarfile.open(tmp_path / name, "w:gz") as archive:
            for number, member in enumerate(order):
                info = tarfile.TarInfo(member)
                info.size, info.mtime, info.uid, info.uname = 5, number + ord(name), number, name
                archive.addfile(info, io.BytesIO(f"is {member}\n".encode()))
        pack_again(tmp_path / name, 1_800_000_000)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a") as archive:
        first, second = archive.getmembers()
        assert (first.name, second.name, first.mtime) == ("x", "y", 1_800_000_000)
        content = archive.extractfile(second)
        assert content is not None
        assert content.read() == b"is y\n"


def test_a_page_is_led_back_to_its_repository() -> None:
    there = "https://git.example/us"
    assert absolute_links("![a](b.png) [c](docs/d.md#e)", there, "v1") == (
        f"![a]({there}/raw/v1/b.png) [c]({there}/blob/v1/docs/d.md#e)"
    )
    stays = "[Download](#download) [x](https://x.example/y) [z](mailto:a@b.example)"
    assert absolute_links(stays, there, "v1") == stays


@pytest.mark.hostile("D01")
@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a source archive has no git")
def test_wheel_and_source_are_the_same_twice_and_have_all_that_they_need(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    wheel, source = build_archives(ROOT, tmp_path, tmp_path / "dist", "1.2.3", 1_800_000_000)
    names = zipfile.ZipFile(wheel).namelist()
    assert "agentgather/page/index.html" in names
    assert not [name for name in names if not name.startswith("agentgather")]
    (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    shown = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "/blob/v1.2.3/docs/host-guide.md)" in shown
    assert re.findall(r"\]\((?!https://|#).*", shown) == []
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    needed = ["Makefile", "CHANGELOG.md", "LICENSE", "packaging/requirements.txt"]
    needed += ["docs/release.md", "spec/storage.md", "tests/packaging/test_release.py"]
    assert [name for name in needed if name not in inside] == []


# --- Sums and signature -------------------------------------------------------------------
@pytest.fixture
def dist(tmp_path: Path) -> Path:
    dist = tmp_path / "dist"
    dist.mkdir()
    for name in ("b", "a"):
        (dist / name).write_text(name)
    write_sums(dist)
    return dist


def make_key(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]
    subprocess.run(command, check=True)
    return path


def test_the_sums_are_sorted_and_notice_every_change(dist: Path) -> None:
    names = [line.split()[1] for line in (dist / SUMS).read_text().splitlines()]
    assert names == ["a", "b"]
    check_sums(dist)
    (dist / "a").write_text("other")
    with pytest.raises(ReleaseFailed, match="a: FAILED"):
        check_sums(dist)


def test_a_signature_is_good_for_its_key_and_its_sums_alone(dist: Path, tmp_path: Path) -> None:
    key, other = make_key(tmp_path / "key"), make_key(tmp_path / "other")
    signers = tmp_path / "allowed_signers"
    signers.write_text(sign_sums(dist, key))
    verify_sums(dist, signers)
    assert sorted(path.name for path in dist.iterdir()) == [SUMS, SIGNATURE, "a", "b"]
    signers.write_text(allowed_signer(other))
    with pytest.raises(ReleaseFailed, match="not good"):
        verify_sums(dist, signers)
    signers.write_text(allowed_signer(key))
    (dist / SUMS).write_text("")
    with pytest.raises(ReleaseFailed, match="not good"):
        verify_sums(dist, signers)


def test_a_key_without_its_public_half_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseFailed, match="ssh-keygen -y"):
        allowed_signer(tmp_path / "key")


# --- Whether it works ---------------------------------------------------------------------
@pytest.mark.slow
def test_a_program_is_tried_out_with_a_room(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("agentgather")
    try_program(program, tmp_path, __version__)
    assert (tmp_path / "home/.agentgather/rooms/trial/messages.jsonl").is_file()


def test_a_program_of_another_version_fails(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("agentgather")
    with pytest.raises(ReleaseFailed, match="another version"):
        try_program(program, tmp_path, "9.9.9")


def test_a_program_that_does_not_run_fails(tmp_path: Path) -> None:
    program = tmp_path / "agentgather"
    shutil.copyfile(shutil.which("false") or "/bin/false", program)
    program.chmod(0o755)
    with pytest.raises(ReleaseFailed, match="ended with 1"):
        try_program(program, tmp_path, __version__)
