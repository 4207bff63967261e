"""How many bytes the parts of a store take."""

from contextlib import suppress
from pathlib import Path

PARTS = ("segments", "requests", "manifest", "index", "other")


def bytes_by_part(path: Path) -> dict[str, int]:
    """-> bytes by part, as file sizes. A file that disappears meanwhile counts nothing."""
    sizes = dict.fromkeys(PARTS, 0)
    for file in path.rglob("*"):
        with suppress(OSError):
            if file.is_file() and not file.is_symlink():
                top = file.relative_to(path).parts[0]
                part = "index" if top.startswith("index.") else top if top in PARTS else "other"
                sizes[part] += file.stat().st_size
    return sizes
