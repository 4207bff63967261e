"""The list of third-party sources, read from `catalogue.toml`.

One entry says where a text comes from, on what terms, and how to know that the right file
arrived. The catalogue is data: nothing is downloaded by reading it.
"""

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from moe_core.errors import ConfigError, SourceError

CATALOGUE_PATH = Path(__file__).with_name("catalogue.toml")
KINDS = ("wheel", "sdist", "npm", "deb")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One third-party source.

    `files` are patterns relative to the root of the package (for sdist and npm: below the one
    top folder of the archive). `sha256` and `version` are empty for Debian packages only.
    """

    name: str
    kind: str
    package: str
    version: str
    archive: str
    sha256: str
    size: int
    files: tuple[str, ...]
    licence: str
    credit: str
    redistributable: bool
    purpose: str

    def __post_init__(self) -> None:
        """Refuse an entry that could be fetched without a check.

        Raises:
            ConfigError: the kind is unknown, or a pinned kind lacks its version or checksum.
        """
        if self.kind not in KINDS:
            raise ConfigError(f"Source {self.name!r} has kind {self.kind!r}; use one of {', '.join(KINDS)}.")
        if self.kind != "deb" and (len(self.sha256) != 64 or not self.version):
            raise ConfigError(f"Source {self.name!r} ({self.kind}) must pin a version and a sha256 checksum.")

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as a plain dictionary, for tables and JSON."""
        return {field: getattr(self, field) for field in self.__slots__}


def load_catalogue(path: Path = CATALOGUE_PATH) -> dict[str, Source]:
    """Read every source of a catalogue file, by name.

    Raises:
        ConfigError: the file is not TOML, or an entry has a wrong or a missing key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The source catalogue {path} cannot be read: {error}.") from error
    sources = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name!r} must be a table that describes one source.")
        expected = set(Source.__slots__) - {"name"}
        wrong = sorted(expected.symmetric_difference(table))
        if wrong:
            raise ConfigError(f"{path}: source {name!r} has wrong or missing keys: {wrong}.")
        entry = {**table, "files": tuple(table["files"])}
        sources[name] = Source(name=name, **entry)
    return sources


def find_source(name: str, catalogue: dict[str, Source] | None = None) -> Source:
    """Return one source by name.

    Raises:
        SourceError: no source has this name; the message offers the nearest one.
    """
    known = load_catalogue() if catalogue is None else catalogue
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise SourceError(f"No source is called {name!r}.{hint} Run `routelens data list` to see all of them.")


def list_sources() -> list[dict[str, Any]]:
    """Return every source of the catalogue as a dictionary, in the order of the file."""
    return [source.as_dict() for source in load_catalogue().values()]
