"""The doctor says whether the program's own files are those that were built or installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentgather.cli.render import one_line
from tests.cli.outside.terminal import ROOT
from tests.cli.terminal import Result, Terminal

MANIFEST = "MANIFEST.sha256"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a built program, which this process takes itself for."""
    folder = tmp_path / "agentgather"
    (folder / "_internal" / "page").mkdir(parents=True)
    (folder / "agentgather").write_bytes(b"\x7fELF")
    (folder / "_internal" / "one.so").write_bytes(b"one" * 1000)
    (folder / "_internal" / "page" / "a page.html").write_text("<p>")
    (folder / "_internal" / "two.so").symlink_to("one.so")
    list_files(folder)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(folder / "agentgather"))
    return folder


def list_files(folder: Path) -> None:
    script = ROOT / "packaging" / "binary" / "manifest.py"
    # As a build does it, which is free to use another Python than ours.
    subprocess.run(["python3", "-I", script, folder], check=True, timeout=60)


def verify(folder: Path) -> Result:
    """Run it in both forms, which have to agree, and give the text."""
    terminal = Terminal(folder / "no home")
    text, as_json = (terminal.run("doctor", "--verify", *more) for more in ([], ["--json"]))
    [document] = as_json.documents
    assert document["ok"] == (text.status == as_json.status == 0)
    shown = [
        f"{one['result']:4} {one['name']}: {one_line(one['detail'])}" for one in document["checks"]
    ]
    assert text.out.splitlines() == shown
    assert text.err == ""
    return text


def fails_with(folder: Path, *faults: str) -> None:
    result = verify(folder)
    *found, last = [line.removeprefix("FAIL program: ") for line in result.out.splitlines()]
    assert result.status == 1
    assert "get it anew" in last
    assert found == list(faults)


# --- Built ----------------------------------------------------------------------------
def test_a_built_program_is_as_its_manifest_has_it(built: Path) -> None:
    result = verify(built)
    assert result.status == 0
    assert result.out.startswith(f"ok   program: 4 files in {built} are as {MANIFEST} has them.")


def test_what_it_does_not_prove_is_said(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "SHA256SUMS and their signature" in verify(built).out
    Terminal(built).run("doctor", "--help")
    assert "SHA256SUMS and their signature" in " ".join(capsys.readouterr().out.split())


def test_it_is_found_through_a_link_to_the_program(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(built / "agentgather")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "link"))
    assert verify(built).status == 0


@pytest.mark.hostile("D04")
def test_a_flipped_bit_is_found(built: Path) -> None:
    file = built / "_internal" / "page" / "a page.html"
    data = bytearray(file.read_bytes())
    data[1] ^= 1
    file.write_bytes(data)
    fails_with(built, f"changed: {file}")


@pytest.mark.hostile("D04")
def test_a_missing_file_is_found(built: Path) -> None:
    (built / "_internal" / "page" / "a page.html").unlink()
    fails_with(built, f"missing: {built}/_internal/page/a page.html")


def test_a_folder_in_the_place_of_a_file_is_found(built: Path) -> None:
    (built / "agentgather").unlink()
    (built / "agentgather").mkdir()
    fails_with(built, f"missing: {built}/agentgather")


@pytest.mark.hostile("D04")
@pytest.mark.parametrize("name", ["new.so", ".hidden", "_internal/page/x.js", "MANIFEST.sha256~"])
def test_an_added_file_is_found(name: str, built: Path) -> None:
    (built / name).write_text("")
    fails_with(built, f"additional: {built / name}")


@pytest.mark.hostile("D04")
def test_an_added_link_to_a_folder_is_found_and_not_followed(built: Path) -> None:
    (built / "_internal" / "more").symlink_to("/")
    fails_with(built, f"additional: {built}/_internal/more")


@pytest.mark.hostile("D04")
def test_a_link_that_leads_out_of_the_folder_is_found(built: Path, tmp_path: Path) -> None:
    one = built / "_internal" / "one.so"
    one.rename(tmp_path / "one.so")
    one.symlink_to(tmp_path / "one.so")
    # The other link leads to it.
    fails_with(
        built,
        f"leads out of the folder: {one}",
        f"leads out of the folder: {built}/_internal/two.so",
    )


def test_without_its_manifest_a_built_program_fails(built: Path) -> None:
    (built / MANIFEST).unlink()
    assert f"missing: {built}/{MANIFEST}" in verify(built).out
    assert verify(built).status == 1


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "_internal/../../outside", "./agentgather", "a//b", ".", ""],
)
def test_a_line_that_leads_elsewhere_is_a_fault_and_is_not_looked_at(
    name: str, built: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_bytes(b"")
    with (built / MANIFEST).open("a") as file:
        # The digest of nothing: it would be right.
        file.write(f"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  {name}\n")
    fails_with(built, f"line 5 of {built}/{MANIFEST} names no file of its folder, or one twice")


def test_a_file_listed_twice_is_a_fault(built: Path) -> None:
    manifest = built / MANIFEST
    first = manifest.read_text().splitlines(keepends=True)[0]
    manifest.write_text(manifest.read_text() + first)
    fails_with(built, f"line 5 of {manifest} names no file of its folder, or one twice")


@pytest.mark.parametrize("left", [b"", b"\xff\xfe\n", b"no digest  agentgather\n"])
def test_a_damaged_manifest_is_a_fault(left: bytes, built: Path) -> None:
    (built / MANIFEST).write_bytes(left)
    result = verify(built)
    assert result.status == 1
    assert "cut short" in result.out


def test_a_manifest_that_was_cut_is_a_fault(built: Path) -> None:
    manifest = built / MANIFEST
    whole = manifest.read_bytes()
    for length in range(len(whole) - 1, 0, -29):
        manifest.write_bytes(whole[:length])
        assert verify(built).status == 1


def test_of_many_faults_the_first_are_named(built: Path) -> None:
    for number in range(100):
        (built / f"new-{number:03}").touch()
    lines = verify(built).out.splitlines()
    assert len(lines) == 22
    assert lines[20] == "FAIL program: and 80 more"


def test_a_name_acts_on_no_terminal(built: Path) -> None:
    (built / "\x1b[2J\n").touch()
    fails_with(built, f"additional: {built}/\\x1b[2J\\n")


# --- Installed ------------------------------------------------------------------------
@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, made of a copy so that the tree stays as it is."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    clean = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "agentgather", source / "agentgather", ignore=clean)
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(source), str(source))
    [file] = source.glob("*.whl")
    return file


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    pip("install", "--target", str(tmp_path / "site"), "--compile", str(wheel))
    return tmp_path / "site"


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--no-deps", "--no-index", "--quiet"]
    subprocess.run(command, check=True, timeout=110)


def verify_installed(site: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "agentgather", "doctor", "--verify", "--json"],
        env={"PYTHONPATH": str(site), "HOME": str(site.parent)},
        cwd=site.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.returncode, [check["detail"] for check in json.loads(done.stdout)["checks"]]


@pytest.mark.hostile("D04")
def test_an_installed_program_is_compared_with_its_record(installed: Path) -> None:
    package = installed / "agentgather"
    status, [detail] = verify_installed(installed)
    assert status == 0
    assert f" files in {package} and beside it are as its installer recorded them" in detail
    assert "SHA256SUMS" in detail

    changed = package / "page" / "assets" / "main.js"
    changed.write_bytes(changed.read_bytes() + b" ")
    (package / "py.typed").unlink()
    (package / "cli" / "more.py").touch()
    [described] = installed.glob("agentgather-*.dist-info/METADATA")
    described.write_text("")
    status, details = verify_installed(installed)
    assert status == 1
    assert set(details[:-1]) == {
        f"changed: {changed}",
        f"changed: {described}",
        f"missing: {package}/py.typed",
        f"additional: {package}/cli/more.py",
    }

    [record] = installed.glob("agentgather-*.dist-info/RECORD")
    rows = record.read_text().replace(
        "agentgather/py.typed,sha256=", "agentgather/py.typed,sha256=~"
    )
    record.write_text("\nshort\n" + rows)
    assert f"missing: {package}/py.typed" in verify_installed(installed)[1]


# --- From source ----------------------------------------------------------------------
def test_a_source_tree_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    result = verify(tmp_path)
    assert result.status == 0
    assert result.out.startswith(f"warn program: it runs from the source tree {ROOT}")
    assert f"`git -C {ROOT} status --ignored`" in result.out


def test_only_with_the_flag_is_it_looked_at(built: Path) -> None:
    (built / MANIFEST).unlink()
    assert "program" not in Terminal(built / "home").run("doctor").out
