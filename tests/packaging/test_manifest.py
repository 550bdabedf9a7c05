"""The list of a built program's files is one that `sha256sum` takes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.outside.terminal import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    (folder / "b" / "c").mkdir(parents=True)
    for name in ("z", "b/c/é and space", "b/a", ".hidden"):
        (folder / name).write_text(name)
    (folder / "b" / "link").symlink_to("../z")
    return folder


def write_manifest(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", ROOT / "packaging" / "binary" / "manifest.py", folder],
        env={"LC_ALL": "C", "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def manifest(folder: Path) -> list[str]:
    done = write_manifest(folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return (folder / "MANIFEST.sha256").read_text("utf-8").splitlines()


def test_every_file_is_listed_by_its_path_in_the_folder(folder: Path) -> None:
    paths = [line[66:] for line in manifest(folder)]
    assert paths == [".hidden", "b/a", "b/c/é and space", "b/link", "z"]


def test_the_list_is_the_same_each_time_and_everywhere(folder: Path, tmp_path: Path) -> None:
    first = manifest(folder)
    assert manifest(folder) == first
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    assert manifest(tmp_path / "copy") == first


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_agrees(folder: Path) -> None:
    manifest(folder)
    command = ["sha256sum", "--check", "--strict", "--quiet", "MANIFEST.sha256"]
    assert subprocess.run(command, cwd=folder, timeout=60).returncode == 0
    (folder / "z").write_text("other")
    assert subprocess.run(command, cwd=folder, capture_output=True, timeout=60).returncode == 1


@pytest.mark.parametrize("name", ["new\nline", "back\\slash", "bell\a"])
def test_a_name_that_no_line_can_hold_is_refused(name: str, folder: Path) -> None:
    (folder / name).touch()
    refused(folder, "cannot be listed")


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "nowhere", "b"])
def test_a_link_to_anything_but_a_file_of_the_folder_is_refused(target: str, folder: Path) -> None:
    (folder.parent / "outside").touch()
    (folder / "led").symlink_to(target)
    refused(folder, "led is a link to no file of the folder")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "No such file")


def refused(folder: Path, why: str) -> None:
    done = write_manifest(folder)
    assert done.returncode == 1
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "MANIFEST.sha256").exists()
