"""How soon a recorded request can be asked for, with a real process that owns the index."""

from pathlib import Path

import numpy as np
import pytest

from moe_core.bench import freshness
from moe_core.bench.freshness import measure_freshness
from moe_core.bench.traffic import Traffic
from moe_core.errors import LogError
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from tests.unit.log.build import fill_store, make_request, make_run, plain_batch


@pytest.fixture
def traffic() -> Traffic:
    """One request of 2 tokens: 8 decisions."""
    return Traffic(make_run(), [make_request("a", 2)], plain_batch([2]), np.array([0, 8]))


def test_every_request_is_found_by_the_other_process(tmp_path: Path, traffic: Traffic) -> None:
    """Two of each kind: four waits above 0, four more requests in the store, and nobody owns the index afterwards."""
    fill_store(tmp_path)
    found = measure_freshness(tmp_path, traffic, 2)
    assert (len(found.since_handed_over), len(found.since_acknowledged)) == (2, 2)
    assert min(found.since_handed_over + found.since_acknowledged) > 0
    with Index.open(tmp_path) as index:
        assert index.frame("SELECT count(*) AS n FROM requests")["n"][0] == 3 + 4
    assert verify_store(tmp_path).ok


def test_a_process_that_cannot_own_the_index_is_one_sentence(
    tmp_path: Path, traffic: Traffic, capfd: pytest.CaptureFixture[str]
) -> None:
    """Somebody else owns it: the child ends, says so, and the measurement does not hang."""
    fill_store(tmp_path)
    with Index.open(tmp_path), pytest.raises(LogError, match="has ended; what it wrote to stderr says why"):
        measure_freshness(tmp_path, traffic, 1)
    said = capfd.readouterr().err
    assert "in use by process" in said
    assert "Traceback" not in said


def test_nothing_found_is_one_sentence(tmp_path: Path, traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    """No finding within the time: an error, not a wait for ever."""
    fill_store(tmp_path)
    monkeypatch.setattr(freshness, "PATIENCE_S", 0.001)
    with pytest.raises(LogError, match="not found within a minute"):
        measure_freshness(tmp_path, traffic, 1)
