"""Comparing decisions of the log with those of now."""

from dataclasses import replace

import numpy as np
import pytest

from moe_core.errors import InputError
from moe_core.explain.replay import COMPARED, KEY, LoggedRun, around, compare, setting_of
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting

RUN = LoggedRun(
    request_id="r.1", run_id="r", model="m", model_sha256="a" * 64, source="infer", mode="adaptive",
    config={"setting": {"budget": 0.4, "unavailable": [[2, 5]], "thresholds_L": None, "later": 1}},
    software={"torch": "0.1"}, text="Good.",
)  # fmt: skip


def columns(**changed: list[int]) -> dict[str, np.ndarray]:
    """Three decisions of one token."""
    base = {name: [0, 0, 0] for name in (*KEY, *COMPARED)} | {"expert_id": [3, 4, 5], "selected": [1, 1, 0]}
    return {name: np.array(values) for name, values in (base | changed).items()}


def test_the_same_is_the_same() -> None:
    """No difference, however rows are ordered."""
    turned = {name: values[::-1] for name, values in columns().items()}
    assert compare(RUN, columns(), turned, answered_with=1, around=[]).same


def test_choices_and_numbers_are_counted_apart() -> None:
    """A changed choice, a changed number, and an expert that is only in one of both."""
    now = columns(selected=[0, 1, 0], logit=[0, 7, 0], expert_id=[3, 4, 6])
    report = compare(RUN, columns(), now, answered_with=1, around=["x"])
    assert (report.same, report.n_differ, report.n_choices, report.n_values) == (False, 4, 3, 1)
    assert {d.what for d in report.differences} == {"selected", "logit", "only in the log", "only now"}


def test_the_setting_comes_back_from_the_log() -> None:
    """Lists become tuples; keys of a newer version are left."""
    assert setting_of(RUN) == Setting(budget=0.4, unavailable=((2, 5),))


@pytest.mark.parametrize(
    ("changed", "word"),
    [({"config": {}}, "did not record"), ({"mode": "dense"}, "dense"), ({"text": None}, "redacted")],
)
def test_what_cannot_be_run_again_is_refused(changed: dict[str, object], word: str) -> None:
    """Imported, dense, redacted."""
    with pytest.raises(InputError, match=word):
        setting_of(replace(RUN, **changed))  # type: ignore[arg-type]


def test_another_model_and_another_torch_are_named(model: RoutedModel) -> None:
    """What is not as it was, in words."""
    said = around(RUN, model)
    assert any(s.startswith("model: then m aaaa") for s in said)
    assert any(s.startswith("torch: then 0.1") for s in said)
