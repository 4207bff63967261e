"""The page about one expert: its numbers are those of the log, a bad link is one sentence, nothing is invented."""

import json
from pathlib import Path

import pytest

from moe_core.log.index import Index
from moe_core.log.redact import redact
from moe_core.model.ablation_file import ABLATION
from tests.app.conftest import HOSTILE, Open, texts_of
from tests.app.test_pages import assert_no_error


def adaptive_run(store: Path) -> str:
    with Index.open_private(store) as index:
        return str(index.frame("SELECT run_id FROM runs WHERE mode = 'adaptive' ORDER BY run_id LIMIT 1").iloc[0, 0])


def test_a_link_opens_the_expert_with_the_numbers_of_the_log(open_page: Open, sample_store: Path) -> None:
    """Share of tokens and runs, counted by SQL over the single decisions."""
    run_id = adaptive_run(sample_store)
    with Index.open_private(sample_store) as index:
        n = int(index.frame(
            f"SELECT count(*) FROM decisions WHERE run_id = '{run_id}' AND layer = 1 AND expert_id = 2 AND selected"
        ).iloc[0, 0])  # fmt: skip
        tokens = int(index.frame(
            f"SELECT count(*) FROM (SELECT DISTINCT request_id, position FROM decisions WHERE run_id = '{run_id}')"
        ).iloc[0, 0])  # fmt: skip
    at = open_page(sample_store, "expert_card", run=run_id, layer="1", expert="2")
    assert_no_error(at)
    assert "1:2" in at.title[0].value
    shown = {m.label: m.value for m in at.metric}
    assert shown["Tokens it runs for"] == f"{n / tokens:.1%}"
    assert any(f"n = {tokens:,}" in c.value.replace("\u00a0", " ") for c in at.caption)
    assert any(f"n\u00a0=\u00a0{n:,} runs" in c.value for c in at.caption)


def test_without_a_measurement_it_names_the_command_and_claims_nothing(open_page: Open, sample_store: Path) -> None:
    """No ablation of this model: no number, but how to get one."""
    at = open_page(sample_store, "expert_card", layer="1", expert="2")
    assert any("routelens ablate" in code.value for code in at.code)
    assert any("nothing is claimed" in m.value for m in at.markdown)


def test_a_measurement_of_this_model_is_shown_with_n_and_interval(
    open_page: Open, sample_store: Path, model_dir: Path
) -> None:
    """And one of other weights is not."""
    zeros = [[0] * 4, [0] * 4]
    tables = dict.fromkeys(("same_gained", "same_lost", "right_gained", "right_lost"), zeros)
    tables |= {"moved_sum": [[-50.0] * 4] * 2, "moved_squares": [[100.0] * 4] * 2}
    task = {"name": "sentiment", "n": 60, "n_tokens": 300, "load_LE": [[100] * 4] * 2, "mean": tables}
    document = {"format": 1, "model_sha256": "a" * 64, "budget": 0.5, "n_layers": 2, "n_experts": 4, "tasks": [task]}
    path = model_dir / ABLATION
    try:
        path.write_text(json.dumps(document))
        at = open_page(sample_store, "expert_card", layer="1", expert="2")
        assert_no_error(at)
        assert any("-0.83 points" in t.value and "n = 60 texts" in t.value and "95 %" in t.value for t in at.text)
        path.write_text(json.dumps(document | {"model_sha256": "b" * 64}))
        at = open_page(sample_store, "expert_card", layer="1", expert="2")
        assert any("routelens ablate" in code.value for code in at.code)
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        pytest.param({"layer": "9"}, "There is no layer '9'", id="layer"),
        pytest.param({"layer": "1", "expert": "4"}, "There is no expert '4'", id="expert"),
        pytest.param({"expert": "<img>"}, "There is no expert '<img>'", id="text"),
        pytest.param({"run": "nobody"}, "holds no run 'nobody'", id="run"),
    ],
)
def test_a_link_to_what_does_not_exist_is_one_sentence(
    open_page: Open, sample_store: Path, query: dict[str, str], words: str
) -> None:
    """No traceback, and no other expert in its place."""
    at = open_page(sample_store, "expert_card", **query)
    assert not at.exception
    assert any(words in t.value for t in at.text)
    assert not at.metric


def test_a_redacted_text_says_so_and_a_hostile_one_is_text(open_page: Open, sample_store: Path) -> None:
    """Texts only ever go through st.text; an erased one leaves its numbers."""
    with Index.open_private(sample_store) as index:
        for request_id in index.frame("SELECT request_id FROM requests WHERE text NOT LIKE '%img%'")["request_id"]:
            redact(sample_store, str(request_id))
    at = open_page(sample_store, "expert_card", layer="1", expert="2")
    assert_no_error(at)
    assert any(t.value == "(erased)" for t in at.text)
    assert not any(HOSTILE in m.value for m in at.markdown)
    assert "the parcel never arrived" not in texts_of(at)


def test_a_page_that_was_open_is_told_that_a_text_is_erased(open_page: Open, sample_store: Path) -> None:
    """Nothing stays in a cache: the text that stood first is gone, its numbers are not."""
    run_id = adaptive_run(sample_store)
    at = open_page(sample_store, "expert_card", run=run_id, layer="1", expert="2")
    with Index.open_private(sample_store) as index:
        rows = index.frame(f"SELECT request_id, text FROM requests WHERE run_id = '{run_id}'")
    ids = dict(zip(rows["text"], rows["request_id"], strict=True))
    first = next(t.value for t in at.text if t.value in ids)
    redact(sample_store, str(ids[first]))
    again = open_page(sample_store, "expert_card", run=run_id, layer="1", expert="2")
    assert first not in {t.value for t in again.text}
    assert "(erased)" in {t.value for t in again.text}
    assert [m.value for m in again.metric] == [m.value for m in at.metric]
