"""Pairs through a model: what is kept of an answered text, and refusals."""

import json

import numpy as np
import pytest

from moe_core.analysis.counterfactual.changes import compare
from moe_core.analysis.counterfactual.templates import parse_templates
from moe_core.errors import InputError
from moe_core.evaluation.counterfactual import routed_texts, run_counterfactuals, scored_label
from moe_core.model.reference import RoutedModel
from tests.unit.tiny_encoders import WORDS


def test_a_routed_text_is_what_the_model_did(model: RoutedModel) -> None:
    """Label, probabilities and who ran are those of a plain run; spans point at the words."""
    text = f"{WORDS[0]} {WORDS[1]} {WORDS[2]}"
    (found,) = routed_texts(model, [text], budget=0.6, head="mood")
    plain = model.run([text], budget=0.6, head="mood", keep_traces=True).answers[0]
    assert found.label == plain.label
    assert found.probabilities[str(plain.label)] == pytest.approx(plain.score)
    assert plain.trace is not None
    np.testing.assert_array_equal(found.executed_LTE, plain.trace.gates_LTE > 0)
    assert [text[a:b] for a, b in found.spans_T[1:-1]] == text.split()
    assert compare(found, found).share == 0


def template_file(n: int = 6, word: str | None = None) -> str:
    groups = {"first": WORDS[:4], "second": [*WORDS[4:7], word or WORDS[7]]}
    rows: list[dict[str, object]] = [{"slot": "w", "attribute": "word", "groups": groups}]
    rows += [
        {"template": f"t{i}", "text": f"{WORDS[8 + i % 4]} {{w}} {WORDS[8 + i % 3]} {WORDS[9 + i % 3]}", "slots": ["w"]}
        for i in range(n)
    ]
    return "\n".join(json.dumps(row) for row in rows)


def test_a_report_comes_out_for_every_attribute(model: RoutedModel) -> None:
    """6 templates of 8 wordings: 16 swaps and 12 neutral swaps each; the seed decides, so twice gives the same."""
    wordings = parse_templates(template_file(), "f")
    first, second = (
        run_counterfactuals(model, wordings, budget=0.6, head="mood", permutations=99)[0] for _ in range(2)
    )
    assert (first.swaps, first.neutral_swaps, first.templates) == (96, 72, 6)
    assert len(first.routing) == model.config.n_layers
    assert first.routing.equals(second.routing)
    assert first.underpowered


def test_text_that_the_model_cannot_read_is_refused(model: RoutedModel) -> None:
    """Unknown tokens route alike whatever they say: no report is better than that one."""
    groups = [{"x": [f"日本{i} a", f"中国{i} a"], "y": ["語 a"]} for i in range(6)]
    rows = [json.dumps({"template": f"t{i}", "attribute": "a", "groups": each}) for i, each in enumerate(groups)]
    with pytest.raises(InputError, match="does not read this language"):
        run_counterfactuals(model, parse_templates("\n".join(rows), "f"), budget=0.6, head="mood", permutations=99)


def test_the_followed_label_is_the_last_one_or_the_one_asked_for(model: RoutedModel) -> None:
    """A label that the head does not have is refused with those it has."""
    assert scored_label(model, "mood", None) == "good"
    assert scored_label(model, "mood", "bad") == "bad"
    assert scored_label(model, None, None) is None
    with pytest.raises(InputError, match="use one of bad, good"):
        scored_label(model, "mood", "great")
    with pytest.raises(InputError, match="no head answers"):
        scored_label(model, None, "good")
