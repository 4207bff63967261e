"""The tuning page: measured or not, thresholds by hand, logged answers again, policy files in and out."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from moe_core.log.index import Index
from moe_core.model.policy import Policy, parse_policy, policy_toml, read_policy
from tests.app.conftest import Open, texts_of
from tests.unit.analysis.test_tuning import DOCUMENT

DIAL = {"points": [{"budget": 0.3, "by_domain": {"mail": [0.3, 0.95, 20.0], "<b>x</b>": [0.2, 0.9, 10.0]}}]}


@pytest.fixture
def measured(model_dir: Path) -> Iterator[Path]:
    """Measurements and a dial in the model folder, gone afterwards."""
    files = {"evaluation.json": DOCUMENT, "calibration.json": DIAL}
    for name, content in files.items():
        (model_dir / name).write_text(json.dumps(content), encoding="utf-8")
    yield model_dir
    for name in files:
        (model_dir / name).unlink()


def test_without_measurements_the_page_names_the_command(open_page: Open, sample_store: Path) -> None:
    """The setting and the logged requests are there all the same."""
    at = open_page(sample_store, "threshold_tuning")
    assert not at.exception
    assert any("routelens evaluate" in code.value for code in at.code)
    assert at.button(key="tuning_try")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_title_is_the_cheapest_setting_within_half_a_point(
    open_page: Open, sample_store: Path, measured: Path, lang: str
) -> None:
    """Budget .25 at 40 % of the FLOPs and -0.4 points, in both languages."""
    at = open_page(sample_store, "threshold_tuning", lang)
    assert not at.exception
    assert all(part in at.title[0].value for part in ("0.25", "40%", "-0.4"))
    assert len(at.metric) == 4


def test_a_damaged_measurement_is_one_sentence(open_page: Open, sample_store: Path, measured: Path) -> None:
    """A half-written file shows a panel, not a traceback."""
    (measured / "evaluation.json").write_text("{", encoding="utf-8")
    at = open_page(sample_store, "threshold_tuning")
    assert not at.exception
    assert any("cannot be read" in text.value for text in at.text), texts_of(at)


def test_logged_answers_are_tried_again_and_nothing_is_recorded(open_page: Open, sample_store: Path) -> None:
    """40 texts; at the logged budget no answer changes; the store keeps its number of requests."""
    at = open_page(sample_store, "threshold_tuning")
    before = Index.open_private(sample_store).frame("SELECT count(*) AS n FROM requests")["n"].iloc[0]
    at.button(key="tuning_try").click().run()
    assert not at.exception
    assert any("of 40**" in m.value for m in at.markdown), texts_of(at)
    assert Index.open_private(sample_store).frame("SELECT count(*) AS n FROM requests")["n"].iloc[0] == before


def test_thresholds_by_hand_enter_the_file(open_page: Open, sample_store: Path) -> None:
    """Two layers, one of them at 0: every expert of that layer runs."""
    at = open_page(sample_store, "threshold_tuning")
    at.toggle(key="tuning_by_hand_0").set_value(True).run()
    next(n for n in at.number_input if n.key and n.key.startswith("tuning_tau_0")).set_value(0.0).run()
    assert not at.exception
    assert any("thresholds = [0.0, " in code.value for code in at.code)


def test_taking_a_setting_over_is_an_event_with_from_and_to(open_page: Open, sample_store: Path) -> None:
    """Who, when, what it was and what it is."""
    at = open_page(sample_store, "threshold_tuning")
    at.button(key="tuning_use").click().run()
    assert not at.exception
    manifests = (sample_store / "manifest").glob("*.jsonl")
    events = [json.loads(line) for path in manifests for line in path.read_text().splitlines() if "live policy" in line]
    assert len(events) == 1
    assert "budget = 0.35" in json.dumps(events[0]["to"] if "to" in events[0] else events[0])


def test_an_uploaded_file_is_the_policy_that_the_command_line_reads(tmp_path: Path) -> None:
    """What the page saves, the page and `infer --policy` read back alike."""
    policy = Policy(budget=0.4, thresholds_L=(0.1, 0.2), head="sentiment")
    (tmp_path / "policy.toml").write_text(policy_toml(policy), encoding="utf-8")
    assert parse_policy(policy_toml(policy).encode()) == read_policy(tmp_path / "policy.toml") == policy
