"""The notices of the crates in a wheel are kept here, or there is no release."""

import subprocess
from pathlib import Path

import pytest

from release.licences import render_licences
from release.notices import NoNotice, Notice, read_notices, take_notice
from release.parts import NotAsPinned, Part, Text


def inside(name: str, licence: str) -> Part:
    return Part(name, "1", f"pkg:cargo/{name}@1", licence, ())


def linking(*crates: Part) -> Part:
    texts = (Text("LICENSE", "ours is MIT"),)
    return Part("lib", "1", "pkg:pypi/lib@1", "MIT", texts, inside=crates)


def test_what_is_linked_in_has_a_text_or_a_notice(tmp_path: Path) -> None:
    (tmp_path / "Apache-2.0").write_text("all of Apache")
    for name in ("both", "notice", "another"):
        shared = "--- LICENSE\n\nshared\n" if name != "another" else "--- COPYING\n\nits own\n"
        (tmp_path / f"{name}.txt").write_text(f"about {name}\n\n{shared}")
    crates = (
        inside("either", "MIT OR Apache-2.0"),
        inside("except", "Apache-2.0 WITH LLVM-exception"),
        inside("both", "(MIT OR Apache-2.0) AND Unicode-3.0"),
        inside("another", "MIT"),
        inside("notice", "MIT"),
    )
    wheel = linking(*crates)
    text = render_licences("1.2.3", "ours", [wheel], common=tmp_path, notices=tmp_path)
    assert text.count("all of Apache") == 1
    assert all(f"\n{one.name} 1: {one.licence}, {one.purl}\n" in text for one in crates)
    of_two = "--- both 1\n\nabout both\n\n--- notice 1\n\nabout notice\n\n--- LICENSE\n\nshared\n"
    assert text.count(of_two) == 1
    assert "\n--- another 1\n\nabout another\n\n--- COPYING\n\nits own\n" in text
    assert "no notices" not in text
    (tmp_path / "MPL-2.0").write_text("all of Mozilla")
    wheel = linking(inside("mozilla", "MPL-2.0"))
    text = render_licences("1.2.3", "ours", [wheel], common=tmp_path, notices=tmp_path)
    assert "all of Mozilla" in text
    assert "all of Apache" not in text


def test_a_crate_without_a_notice_stops_the_release_or_is_a_known_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "frob.txt").write_text("about it, and nothing more\n")
    wheel = linking(inside("frob", "MIT"))
    with pytest.raises(NotAsPinned, match=r"lib 1 has frob 1 inside \(MIT\).* librust-NAME-dev"):
        render_licences("1.2.3", "ours", [wheel], notices=tmp_path)
    monkeypatch.setattr("release.licences.GAPS", frozenset({"frob"}))
    text = render_licences("1.2.3", "ours", [wheel], notices=tmp_path)
    assert "They are with the source of each:\nfrob 1\n" in text


def debian_package(folder: Path, *names: str) -> Path:
    """Pack a crate as Debian does."""
    (folder / "DEBIAN").mkdir(parents=True)
    (folder / "DEBIAN" / "control").write_text(
        "Package: librust-a-b-dev\nVersion: 1.0-2\nArchitecture: all\nMaintainer: x <x@y.z>\n"
        "Description: x\n"
    )
    doc = folder / "usr" / "share" / "doc" / "librust-a-b-dev"
    crate = folder / "usr" / "share" / "cargo" / "registry" / "a_b-1.0"
    doc.mkdir(parents=True)
    crate.mkdir(parents=True)
    (doc / "copyright").write_text(
        "Format: x\n\nFiles: *\nCopyright: 2020 Ada\nLicense: MIT\n\n"
        "Files: debian/*\nCopyright: 2021 Packer\nLicense: MIT\n\nLicense: MIT\n text\n"
    )
    (crate / "Cargo.toml").write_text('[package]\nname = "a_b"\nversion = "1.0"\n')
    for name in names:
        (crate / name).write_text(f"text of {name}\n")
    package = folder.with_suffix(".deb")
    run = ["dpkg-deb", "--root-owner-group", "--build", str(folder), str(package)]
    subprocess.run(run, check=True, capture_output=True)
    return package


def test_a_notice_is_taken_from_a_package_of_debian(tmp_path: Path) -> None:
    names = ("COPYING", "LICENSE-APACHE", "LICENSE-MIT", "UNLICENSE", "README.md")
    to = take_notice(debian_package(tmp_path / "package", *names), tmp_path)
    assert to == tmp_path / "a_b.txt"
    assert read_notices(tmp_path) == {
        "a_b": Notice(
            "From librust-a-b-dev 1.0-2 of Debian, which is a_b 1.0.\n\n"
            "Files: *\nCopyright: 2020 Ada\nLicense: MIT",
            "--- COPYING\n\ntext of COPYING\n\n--- LICENSE-MIT\n\ntext of LICENSE-MIT\n\n"
            "--- UNLICENSE\n\ntext of UNLICENSE",
        )
    }


def test_a_package_without_a_text_gives_no_notice(tmp_path: Path) -> None:
    with pytest.raises(NoNotice, match="no text of a_b"):
        take_notice(debian_package(tmp_path / "package", "README.md"), tmp_path)
