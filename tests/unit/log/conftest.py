"""Stores for the tests of the log."""

from pathlib import Path

import pytest

from tests.unit.log.build import fill_store


@pytest.fixture
def store_dir(tmp_path: Path) -> Path:
    """A store with one run of 3 batches, 3 requests, 6 tokens, 24 decisions."""
    path = tmp_path / "store"
    fill_store(path)
    return path
