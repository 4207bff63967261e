"""Opening archives that nobody has to trust.

Only plain files that match a pattern are written. An archive with a member that would leave the
target folder, or with a wanted member that is a link or a device, is refused before anything is
written. Debian packages hold links by design: there they are skipped, never created.
"""

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO

from moe_core.errors import SourceError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_MAX_MEMBER = 512 * 1024 * 1024
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
)


def unpack(archive: Path, target: Path, patterns: Sequence[str], *, kind: str) -> list[Path]:
    """Write the members of `archive` that match `patterns` below `target`.

    For the kinds `sdist` and `npm` the one top folder of the archive is taken off first.

    Returns:
        The written files, sorted.

    Raises:
        SourceError: the archive is damaged, holds a member that leaves the target folder or a
            wanted link or device, or no member matches.
    """
    try:
        if kind == "wheel":
            return _unpack_zip(archive, target, patterns)
        if kind == "deb":
            with tarfile.open(fileobj=io.BytesIO(_deb_data(archive))) as tar:
                return _unpack_tar(tar, archive, target, patterns, strip=0, skip_links=True)
        strip = 1 if kind in ("sdist", "npm") else 0
        with tarfile.open(archive) as tar:
            return _unpack_tar(tar, archive, target, patterns, strip=strip, skip_links=False)
    except _DAMAGE as error:
        raise SourceError(f"The archive {archive} is damaged ({error}); delete it and download it again.") from error


def _unpack_zip(archive: Path, target: Path, patterns: Sequence[str]) -> list[Path]:
    written = []
    with zipfile.ZipFile(archive) as bundle:
        wanted = []
        for info in bundle.infolist():
            name = _safe_name(info.filename, archive, strip=0)
            if info.is_dir() or not _matches(name, patterns):
                continue
            kind_bits = (info.external_attr >> 16) & 0o170000
            if kind_bits not in (0, 0o100000):
                raise _not_plain(info.filename, archive)
            wanted.append((info, name))
        _check_found([name for _, name in wanted], archive, patterns)
        for info, name in wanted:
            with bundle.open(info) as stream:
                written.append(_write(stream, target, name, archive))
    return sorted(written)


def _unpack_tar(
    tar: tarfile.TarFile,
    archive: Path,
    target: Path,
    patterns: Sequence[str],
    *,
    strip: int,
    skip_links: bool,
) -> list[Path]:
    wanted = []
    for member in tar.getmembers():
        name = _safe_name(member.name, archive, strip=strip)
        if member.isdir() or not _matches(name, patterns):
            continue
        if not member.isreg():
            if skip_links and (member.issym() or member.islnk()):
                continue
            raise _not_plain(member.name, archive)
        wanted.append((member, name))
    _check_found([name for _, name in wanted], archive, patterns)
    written = []
    for member, name in wanted:
        stream = tar.extractfile(member)
        assert stream is not None, "a regular member always has a stream"
        with stream:
            written.append(_write(stream, target, name, archive))
    return sorted(written)


def _safe_name(raw: str, archive: Path, *, strip: int) -> str:
    """Return the member's path below the target, or "" for the top folder itself."""
    path = PurePosixPath(raw.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise SourceError(
            f"The archive {archive} holds {raw!r}, which leaves the target folder; "
            "nothing was unpacked. Delete the file and report it to the source."
        )
    return "/".join(path.parts[strip:])


def _not_plain(raw: str, archive: Path) -> SourceError:
    return SourceError(
        f"The archive {archive} holds {raw!r}, a link or a device; nothing was unpacked. "
        "Delete the file and report it to the source."
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return bool(name) and any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_found(names: Sequence[str], archive: Path, patterns: Sequence[str]) -> None:
    if not names:
        raise SourceError(
            f"The archive {archive} holds no file like {', '.join(patterns)}; "
            "the package has changed, so correct its entry in the catalogue."
        )


def _write(stream: IO[bytes], target: Path, name: str, archive: Path) -> Path:
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        total = 0
        while block := stream.read(1 << 20):
            total += len(block)
            if total > _MAX_MEMBER:
                raise SourceError(f"The file {name!r} in {archive} is larger than 512 MB; refused.")
            out.write(block)
    return path


def _deb_data(archive: Path) -> bytes:
    """Return the bytes of the `data.tar.*` part of a Debian package."""
    for name, data in _ar_members(archive):
        if name.startswith("data.tar"):
            if name.endswith(".zst"):
                raise SourceError(
                    f"The Debian package {archive} is packed with zstd, which RouteLens does not "
                    "read; use the package of Debian 12, which is packed with xz."
                )
            return data
    raise SourceError(f"The Debian package {archive} holds no data; download it again.")


def _ar_members(archive: Path) -> Iterator[tuple[str, bytes]]:
    data = archive.read_bytes()
    if not data.startswith(_AR_MAGIC):
        raise SourceError(f"The file {archive} is not a Debian package; download it again.")
    at = len(_AR_MAGIC)
    while at + _AR_HEADER <= len(data):
        header = data[at : at + _AR_HEADER]
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        size_field = header[48:58].strip()
        if not size_field.isdigit():
            raise SourceError(f"The Debian package {archive} is damaged; download it again.")
        start = at + _AR_HEADER
        end = start + int(size_field)
        if end > len(data):
            raise SourceError(f"The Debian package {archive} is cut short; download it again.")
        yield name, data[start:end]
        at = end + end % 2
