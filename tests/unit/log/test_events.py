"""Events: who changed which setting."""

from pathlib import Path

import pytest

from moe_core.errors import LogError, StoreNotFoundError
from moe_core.log import queries
from moe_core.log.events import record_event
from moe_core.log.index import Index
from moe_core.log.verify import verify_store


def test_events_are_found_newest_first(store_dir: Path) -> None:
    """Actor, what, old and new value, as they were given."""
    record_event(store_dir, "ann", "budget", 0.35, 0.5)
    record_event(store_dir, None, "fleet", None, {"experts": [1, 2], "名": "日本"})
    with Index.open_private(store_dir) as index:
        found = queries.events(index)
        assert found["what"].tolist() == ["fleet", "budget"]
        assert found["old"].tolist() == ["null", "0.35"]
        assert found["new"].tolist() == ['{"experts": [1, 2], "名": "日本"}', "0.5"]
        assert found["actor"].iloc[1] == "ann"
        assert len(queries.events(index, limit=1)) == 1
    assert verify_store(store_dir).ok


def test_one_process_has_one_manifest_for_its_events(store_dir: Path) -> None:
    """100 events are 100 lines, not 100 files."""
    before = len(list((store_dir / "manifest").iterdir()))
    for i in range(100):
        record_event(store_dir, "ann", "budget", i, i + 1)
    assert len(list((store_dir / "manifest").iterdir())) == before + 2


def test_an_event_needs_a_store_and_plain_values(store_dir: Path, tmp_path: Path) -> None:
    """No store is made for an event, and no object is turned into a text unasked."""
    with pytest.raises(StoreNotFoundError):
        record_event(tmp_path / "nowhere", "ann", "budget")
    with pytest.raises(LogError, match="cannot be written as JSON"):
        record_event(store_dir, "ann", "budget", object())
