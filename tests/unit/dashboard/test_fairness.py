"""Words, numbers and choices of the audit page."""

import re
from pathlib import Path

import pandas as pd
import pytest

from moe_core.analysis.audit.compute import UNITS
from moe_core.analysis.audit.documents import NOT_KNOWN, TOO_SMALL
from moe_core.analysis.audit.outcome_columns import ABOVE, NO_RIGHT_ANSWER, TAKEN
from moe_core.analysis.message import Message
from moe_core.dashboard import fairness_tables, fairness_words
from moe_core.dashboard.filters import distinct
from moe_core.dashboard.i18n import translator

ROOT = Path(__file__).resolve().parents[3]
JA = translator("ja")


def test_every_measure_of_the_analysis_has_a_word() -> None:
    """A new measure would stand on the page with its internal name."""
    source = (ROOT / "moe_core/analysis/audit/outcome.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"(\w+_(?:rate|gap|difference|ratio))"', source)) - {"compute_difference"}
    assert {*UNITS, *named} - {"reference_rate"} <= set(fairness_words.METRICS)
    assert set(UNITS.values()) <= set(fairness_tables.UNIT_WORDS)


@pytest.mark.parametrize(
    ("said", "japanese"),
    [
        pytest.param(Message(NOT_KNOWN, {"column": "writer"}), "writerが不明", id="column"),
        pytest.param(Message(TOO_SMALL, {"n": 5}), "グループの文書が5件未満", id="small"),
        pytest.param(Message(ABOVE, {"median": 3.5}), "中央値3.5を上回る", id="median"),
        pytest.param(Message(NO_RIGHT_ANSWER, {"value": "a'b {x}"}), "正解に「a'b {x}」がないため、誤り率は省きます",
                     id="quote and braces in a value"),
        pytest.param(Message(TAKEN, {"value": "yes"}), "「yes」を有利な値とみなしました", id="no option of the shell"),
    ],
)  # fmt: skip
def test_reasons_of_the_analysis_are_said_in_japanese(said: Message, japanese: str) -> None:
    """With their values as they are."""
    assert fairness_words.message(said, JA) == japanese


def test_large_numbers_in_a_sentence_can_be_read() -> None:
    """2,622,000 is 2.62 M, not 2.622e+06."""
    found = Message("{mean:.4g} and {other:.4g}", {"mean": 2_622_000.0, "other": 12.5})
    assert fairness_words.message(found, str) == "2.62 M and 12.5"


def test_names_from_the_log_stay_as_they_are() -> None:
    """Only measures, units and `all others` are put into words; an attribute called `label` is no answer."""
    found = Message("{metric}: {group} and {reference}", {"metric": "latency_ms", "group": "latency_ms",
                                                          "reference": "all others"})  # fmt: skip
    assert fairness_words.message(found, JA) == "レイテンシ（ms）: latency_ms and 他のすべて"
    assert fairness_words.column("label", JA) == "回答"
    assert fairness_words.column("label", JA, ["label"]) == "label"


def test_errors_speak_of_the_form_and_not_of_the_command_line() -> None:
    """Options become fields; other texts with dashes stay."""
    assert fairness_words.error("There is no column 'x' for --group: none.", str) == (
        "There is no column 'x' for the group column: none."
    )
    assert fairness_words.error("'a--group' and --groups", str) == "'a--group' and --groups"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(12_345_678.0, "12.35 M"), (-23_456.0, "-23.5 k"), (1234.5, "1,234.5"), (0.12345, "0.1235"), (float("nan"), "—")],
)
def test_numbers_of_any_size_can_be_read(value: float, shown: str) -> None:
    """Four digits or so."""
    assert fairness_words.digits(value) == shown


def test_an_interval_of_a_difference_has_signs_and_a_p_is_never_zero() -> None:
    """Other intervals have none."""
    assert fairness_tables.span(-1.5, 2, str) == "-1.5 to +2"
    assert fairness_tables.span(1.5, 2, str, sign=False) == "1.5 to 2"
    assert [fairness_tables.probability(p) for p in (0.0, 0.0125, float("nan"))] == ["< 0.001", "0.013", "—"]


def test_options_with_the_same_label_can_be_told_apart() -> None:
    """Two runs of the same minute: the browser sends the label back."""
    assert distinct(["a", "b", "c"], {"a": "10:30", "b": "10:30", "c": "10:31"}) == {
        "a": "10:30 · a", "b": "10:30 · b", "c": "10:31",
    }  # fmt: skip


def test_untested_cells_come_last() -> None:
    """The clearest first, whatever its sign."""
    names = ["share", "reference_share", "difference", "low", "high", "p_joint", "p_maxt", "q_bh", "minimum_detectable"]
    frame = pd.DataFrame({name: [0.1, 0.2, float("nan")] for name in names})
    frame = frame.assign(flagged=[False, True, False], layer=0, expert_id=[0, 1, 2], group="g", reference="all others",
                         t=[1.0, -4.0, float("nan")])  # fmt: skip
    shown = fairness_tables.cells(frame, str)
    assert shown["Expert"].tolist() == [1, 0, 2]
    assert shown["Flagged"].tolist() == ["◆", "", ""]
    assert shown["q (BH)"].tolist() == ["0.200", "0.100", "—"]
