"""Small parts of the dashboard: flags in words, numbers, downloads, map data, demo requests, model cards."""

import base64
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.metric_info import METRICS, metric_info
from moe_core.analysis.trace import TraceArrays
from moe_core.dashboard import (
    counterfactual_view,
    data,
    demo,
    expert_tables,
    fairness_verdicts,
    numbers,
    specialization_tables,
    tuning_numbers,
    why_view,
    widgets,
)
from moe_core.dashboard.flags import FLAG_WORDS, flag_words
from moe_core.dashboard.routing_canvas import canvas_data, routing_alt
from moe_core.errors import InputError
from moe_core.records import DecisionFlag


def test_every_flag_has_words() -> None:
    """No bit of the log is shown as a bare number, except one that a newer version wrote."""
    assert set(FLAG_WORDS) == set(DecisionFlag) - {DecisionFlag.NONE}
    assert flag_words(0, str) == ""
    assert flag_words(DecisionFlag.FLOOR | DecisionFlag.IMPORTED, str) == (
        "ran below its threshold, because at least one expert must run; imported, not recorded live"
    )
    assert flag_words(64 | DecisionFlag.SHARED, str) == "shared expert, always runs; unknown flag 64"


def test_every_shown_metric_is_explained() -> None:
    """The metrics of all pages have an entry with all of its parts filled, and no entry is unused."""
    shown = {
        *numbers.OVERVIEW_METRICS,
        *numbers.LIVE_METRICS,
        *numbers.LOAD_METRICS,
        *numbers.LOG_METRICS,
        *tuning_numbers.METRICS,
        *counterfactual_view.METRICS,
        *fairness_verdicts.METRICS,
        *specialization_tables.METRICS,
        *expert_tables.METRICS,
        *why_view.METRICS,
    }
    assert shown == set(METRICS)
    for key in shown:
        info = metric_info(key)
        assert all((info.name, info.meaning, info.formula, info.unit, info.ideal, info.caveat, info.source)), key
    with pytest.raises(KeyError):
        metric_info("made_up")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "—"), (0.473, "47%"), (0.0, "0%"), (1.0, "100%")],
)
def test_a_share_is_shown_as_percent(value: float | None, expected: str) -> None:
    """Not measured is a dash, never 0%."""
    assert widgets.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "—"), (float("nan"), "—"), (12.34, "12.3 ms"), (1234.5, "1,234 ms")]
)
def test_a_time_is_shown_in_milliseconds(value: float | None, expected: str) -> None:
    """Short times keep a decimal, long ones do not."""
    assert widgets.milliseconds(value) == expected


def test_a_download_opens_in_a_spreadsheet_without_running_anything() -> None:
    """Byte-order mark for Japanese; a cell that starts like a formula is text; numbers stay numbers."""
    frame = pd.DataFrame({"text": ["=cmd()", "+1", "良い", "plain", None], "n": [-1, 2, 3, 4, 5]})
    raw = widgets.csv_bytes(frame)
    assert raw.startswith(b"\xef\xbb\xbf")
    lines = raw.decode("utf-8-sig").splitlines()
    assert lines == ["text,n", "'=cmd(),-1", "'+1,2", "良い,3", "plain,4", ",5"]


def test_columns_show_every_decimal_they_have() -> None:
    """0.5 beside 0.35 is shown as 0.50; whole floats without decimals."""
    assert widgets.decimals(pd.Series([0.5, 0.35])) == 2
    assert widgets.decimals(pd.Series([1.0, float("nan")])) == 0
    assert widgets.decimals(pd.Series([0.123456])) == 4


def arrays() -> TraceArrays:
    """Two tokens, one layer, three experts; one score was not recorded."""
    return TraceArrays(
        tokens=("<img src=x>", "b"),
        is_special=(False, True),
        scores_TLE=np.array([[[1.0, 0.5, np.nan]], [[0.0, 1.0, 2.0]]]),
        thresholds_TLE=np.array([[[0.5, 0.5, np.nan]], [[0.5, 0.5, 0.5]]]),
        active_TLE=np.array([[[True, False, False]], [[False, True, True]]]),
    )


def test_the_map_gets_the_numbers_of_the_trace() -> None:
    """Counts, mask and scores; an unknown score is marked, a score above 1 is clipped; tokens travel as they are."""
    sent = canvas_data(arrays(), selected=1, t=str, dark=False)
    assert sent["counts"] == [1, 2]
    assert sent["tokens"][0] == {"text": "<img src=x>", "special": False}
    assert list(base64.b64decode(sent["active"])) == [1, 0, 0, 0, 1, 1]
    assert list(base64.b64decode(sent["scores"])) == [254, 127, 255, 0, 254, 254]
    json.dumps(sent)


def test_the_map_is_drawn_anew_only_for_new_content() -> None:
    """Choosing another token keeps the identity; another theme or language changes it."""
    one = canvas_data(arrays(), selected=0, t=str, dark=False)
    assert one["key"] == canvas_data(arrays(), selected=1, t=str, dark=False)["key"]
    assert one["key"] != canvas_data(arrays(), selected=0, t=str, dark=True)["key"]
    assert one["key"] != canvas_data(arrays(), selected=0, t=lambda text: f"*{text}", dark=False)["key"]


def test_the_map_has_an_alternative_text() -> None:
    """One sentence with the numbers, also for nothing."""
    assert routing_alt([3, 7], 16, t=str) == "Routing map: 2 tokens ran 3 to 7 of 16 experts each."
    assert routing_alt([], 16, t=str) == "No token was routed"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", "no demo request", id="empty"),
        pytest.param("{", "line 1", id="broken JSON"),
        pytest.param('{"text": "a"}\n[1]', "line 2", id="not an object"),
        pytest.param('{"txt": "a"}', "line 1", id="no text"),
    ],
)
def test_a_damaged_demo_file_is_refused_by_line(tmp_path: Path, content: str, words: str) -> None:
    """The message names file and line."""
    path = tmp_path / "requests.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        demo.read_demo(path)


def test_demo_requests_keep_domain_label_and_attributes(tmp_path: Path) -> None:
    """What the file says about a text is kept beside it."""
    path = tmp_path / "requests.jsonl"
    path.write_text('{"text": "a", "domain": "d", "label": "good", "attributes": {"n": 1}}\n\n', encoding="utf-8")
    (request,) = demo.read_demo(path)
    assert (request.domain, request.reference_label, dict(request.attributes)) == ("d", "good", {"n": "1"})


def test_the_domains_of_the_bundled_demo_have_a_spoken_name() -> None:
    """Charts show them translated."""
    bundled = {
        request.domain for request in demo.read_demo(Path(data.__file__).parents[2] / "data/demo/requests.jsonl")
    }
    assert {str(name).replace("_", " ") for name in bundled} == set(demo.DOMAINS)


def runs(**changes: list[object]) -> pd.DataFrame:
    """Three runs of two models, newest first."""
    columns: dict[str, list[object]] = {
        "model": ["new", "new", "old"],
        "model_sha256": ["b", "b", "a"],
        "n_layers": [2, 2, 1],
        "n_experts": [4, 4, 2],
        "mode": ["dense", "adaptive", "adaptive"],
        "budget": [None, 0.5, 0.5],
        "n_requests": [5, 5, 9],
        "n_tokens": [50, 50, 90],
        "active_fraction": [1.0, 0.5, 0.9],
        "escalates": [None, None, None],
        "flops": [100, 60, 100],
        "flops_dense": [100, 100, 100],
        "source": ["demo", "demo", "infer"],
        "last_seen": list(pd.to_datetime(["2026-01-03", "2026-01-02", "2026-01-01"])),
    }
    return pd.DataFrame(columns | changes)


def test_pages_speak_about_the_model_that_ran_last() -> None:
    """Runs of different models are never added up; dense runs do not choose the model."""
    model = data.newest_model(runs())
    assert model is not None
    assert (model.name, model.n_experts, model.runs, model.demo) == ("new", 4, 1, True)
    older = data.newest_model(runs(n_requests=[5, 0, 9]))
    assert older is not None
    assert older.name == "old"
    assert data.newest_model(runs(mode=["dense"] * 3)) is None


def test_settings_add_up_runs_with_the_same_mode_and_budget() -> None:
    """Token-weighted, dense kept although it has no budget."""
    frame = data.settings_of(runs(mode=["dense", "adaptive", "adaptive"]))
    adaptive = frame[frame["mode"] == "adaptive"].iloc[0]
    assert (adaptive["requests"], adaptive["tokens"]) == (14, 140)
    assert adaptive["active_tokens"] == pytest.approx(0.5 * 50 + 0.9 * 90)
    assert len(frame) == 2


def test_a_model_card_counts_only_for_its_own_model(tmp_path: Path) -> None:
    """The accuracy of another model, or a broken card, supports nothing."""
    (tmp_path / "heads").mkdir()
    (tmp_path / "config.json").write_text('{"name": "m"}', encoding="utf-8")
    card = {"name": "spam", "accuracy": {"dense": 0.9, "0.5": 0.8, "top-k": 0.7}, "n_test": 50}
    (tmp_path / "heads" / "spam.json").write_text(json.dumps(card), encoding="utf-8")
    assert data.head_cards(tmp_path, "m") == {"spam": ({"dense": 0.9, "0.5": 0.8}, 50)}
    assert data.head_cards(tmp_path, "other") == {}
    (tmp_path / "heads" / "spam.json").write_text("{", encoding="utf-8")
    assert data.head_cards(tmp_path, "m") == {}
    assert data.head_cards(tmp_path / "nowhere", "m") == {}
