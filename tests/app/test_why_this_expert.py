"""Why this expert: a decision by link, by choice or of a typed text; panels where it cannot be computed again."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from moe_core.dashboard import resources, why_source
from moe_core.explain.replay import LoggedRun
from moe_core.log import queries
from moe_core.log.index import Index
from moe_core.log.logged_steps import Steps
from moe_core.log.redact import redact
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting
from tests.app.conftest import HOSTILE, Open, clear_caches, texts_of

PAGE = "why_this_expert"


def request_of(store: Path, mode: str, text: str) -> str:
    """The id of a recorded request by mode and text."""
    with Index.open(store) as index:
        found = queries.requests_page(index, search=text, limit=500).frame
    return str(found[found["mode"] == mode]["request_id"].iloc[0])


def panel(at: AppTest) -> str:
    """What the panel of a blocked request says."""
    assert not at.exception, at.exception
    assert "This request cannot be explained here" in [h.value for h in at.header], texts_of(at)
    assert not at.metric
    return "\n".join(str(text.value) for text in at.text)


def test_the_newest_request_is_explained_without_a_choice(open_page: Open, sample_store: Path) -> None:
    """A title with the finding, five numbers, the paragraph, charts and tables; the link names the decision."""
    at = open_page(sample_store, PAGE)
    assert not at.exception, at.exception
    assert at.title[0].value.startswith("Expert "), texts_of(at)
    assert "This did not work" not in [h.value for h in at.header]
    assert [m.label for m in at.metric] == ["Margin", "Rank", "Gate weight", "Smallest change that turns it",
                                            "Completeness error"]  # fmt: skip
    said = texts_of(at)
    assert "in layer" in said
    assert "bfloat16" in said
    assert "neutral swaps" in said
    assert {"run", "request", "position", "layer", "expert"} <= set(at.query_params)


def test_a_link_opens_its_decision(open_page: Open, sample_store: Path) -> None:
    """Request, position, layer and expert of the link are what is explained, and the words are those of its text."""
    request_id = request_of(sample_store, "adaptive", "the parcel never arrived nobody 5")
    at = open_page(sample_store, PAGE, request=request_id, position="3", layer="1", expert="2")
    assert not at.exception, at.exception
    assert "Expert 2" in at.title[0].value
    assert "layer 1" in at.title[0].value
    assert "“never”" in at.title[0].value
    assert "This did not work" not in [h.value for h in at.header]
    words = next(frame.value for frame in at.dataframe if "Word" in frame.value.columns)
    assert list(words["Word"])[:4] == ["the", "parcel", "never", "arrived"]
    assert pd.isna(words["Margin, change"].iloc[2])
    assert words["Decision without it"].iloc[2] == "does not exist"


def test_a_swap_stands_beside_neutral_ones(open_page: Open, sample_store: Path) -> None:
    """The swap box answers with before, after and change; an empty replacement is one sentence."""
    at = open_page(sample_store, PAGE, "ja")
    at.text_input(key="why_swap_text").set_value("bad")
    at = next(button for button in at.button if "置き換える" in button.label).click().run()
    assert not at.exception, at.exception
    assert any("変化" in frame.value.columns and "前" in frame.value.columns for frame in at.dataframe)


def test_a_hostile_token_is_named_by_its_position(open_page: Open, sample_store: Path) -> None:
    """Markup of the text is in no heading and no markdown."""
    request_id = request_of(sample_store, "adaptive", HOSTILE)
    at = open_page(sample_store, PAGE, request=request_id, position="1")
    assert not at.exception, at.exception
    assert "position 1" in at.title[0].value
    assert not any("<img" in m.value for m in [*at.markdown, *at.caption, *at.title, *at.header])


def test_a_dense_request_says_that_nothing_was_decided(open_page: Open, sample_store: Path) -> None:
    """The panel names the reason and what to do."""
    at = open_page(sample_store, PAGE, request=request_of(sample_store, "dense", "the parcel"))
    assert "nothing was decided" in panel(at)


def test_an_erased_text_says_so(open_page: Open, sample_store: Path) -> None:
    """After redaction the decisions cannot be computed again; what is recorded stays in the audit log."""
    request_id = request_of(sample_store, "adaptive", "the parcel")
    redact(sample_store, request_id)
    at = open_page(sample_store, PAGE, request=request_id)
    assert "audit log" in panel(at)


def test_another_model_is_named(open_page: Open, sample_store: Path, tiny_model: RoutedModel,
                                monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Both models with the beginning of their hashes; no number of the wrong model is shown."""
    request_id = request_of(sample_store, "adaptive", "the parcel")
    at = open_page(sample_store, PAGE, request=request_id)
    assert not at.exception
    monkeypatch.setattr(tiny_model, "sha256", "b" * 64)
    clear_caches()
    said = panel(at.run())
    assert "a" * 12 in said
    assert "b" * 12 in said


def test_a_run_without_a_setting_cannot_be_explained(
    open_page: Open, sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As imported runs: the panel says that the setting is not on record."""
    from moe_core.dashboard import data

    real = data.run_of_request


    def without_setting(*given: Any) -> "pd.Series[Any]":
        row = real(*given).copy()
        row["config"] = "{}"
        return row

    monkeypatch.setattr(data, "run_of_request", without_setting)
    assert "setting" in panel(open_page(sample_store, PAGE))


def test_an_own_text_is_explained_and_not_recorded(open_page: Open, missing_store: Path) -> None:
    """Without any log the page offers the form; a blank text is one sentence."""
    at = open_page(missing_store, PAGE)
    assert at.title[0].value == "Why this expert?"
    at.text_area(key="why_text").set_value("the parcel never arrived")
    at = at.button[0].click().run()
    assert not at.exception, at.exception
    assert at.title[0].value.startswith("Expert ")
    assert not missing_store.exists()
    at.text_area(key="why_text").set_value(" ")
    at = at.button[0].click().run()
    assert any("empty" in str(text.value) for text in at.text)


def test_the_setting_of_a_run_is_read_back(tiny_model: RoutedModel) -> None:
    """Thresholds, lost experts and mode come back; an unknown key and a head that is not here are left out."""
    recorded = {"mode": "adaptive", "budget": 0.4, "head": "gone", "thresholds_L": [0.1, 0.2], "unavailable": [[1, 3]],
                "new": 1}  # fmt: skip
    run = LoggedRun(request_id="r.1", run_id="r", model="tiny", model_sha256="a" * 64, source="infer", mode="adaptive",
                    config={"setting": recorded}, software={}, text="the box")  # fmt: skip
    source = why_source.recorded_source(run, tiny_model)
    assert isinstance(source, why_source.Source)
    assert source.setting == Setting(budget=0.4, head=None, thresholds_L=(0.1, 0.2), unavailable=((1, 3),))


def test_the_replay_says_whether_the_log_agrees(
    open_page: Open, sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests of the batch are run again: the same decisions; a log that says otherwise is told apart."""
    from moe_core.dashboard import why_replay

    monkeypatch.setattr(why_replay, "MOST_AT_ONCE", 100)
    at = open_page(sample_store, PAGE)
    assert any(m.value.startswith("**Same**") for m in at.markdown), texts_of(at)
    real = why_replay.logged_steps
    clear_caches()

    def other(decisions: pd.DataFrame) -> Steps:
        steps = real(decisions)
        steps["margin"][0] += 1
        return steps

    monkeypatch.setattr(why_replay, "logged_steps", other)
    at.run()
    assert any("**Different**: 1 of" in m.value for m in at.markdown), texts_of(at)


def test_a_wrong_link_is_one_sentence(open_page: Open, sample_store: Path) -> None:
    """A request that the store does not hold."""
    at = open_page(sample_store, PAGE, request="run-x.1")
    assert not at.exception
    assert any("holds no request" in str(text.value) for text in at.text)
    assert resources.has_store(sample_store)
