"""One question to the log: choices for a form, and the requests behind a cell."""

import numpy as np
import pandas as pd

from moe_core.analysis.audit.cell_requests import cell_requests
from moe_core.analysis.audit.column_choices import choices, group_sizes, usual_favourable, values_of
from moe_core.analysis.audit.documents import documents
from moe_core.analysis.audit.settings import AuditSettings

SETTINGS = AuditSettings()


def requests(n: int = 60) -> pd.DataFrame:
    """`tongue`: 2 groups of 30; `shop`: 3 of 20; `author`: 12 of 5; `score` of each request differs."""
    return pd.DataFrame({
        "run_id": "r", "request_id": [f"q{i:02}" for i in range(n)], "n_tokens": 10, "n_characters": 40,
        "started_at": pd.Timestamp("2026-03-01", tz="UTC"), "latency_ms": 1.0, "domain": None,
        "attributes": [{"tongue": "ab"[i % 2], "shop": "xyz"[i % 3], "author": f"p{i % 12}"} for i in range(n)],
        "label": ["yes" if i % 4 else "no" for i in range(n)], "score": np.linspace(0.5, 0.9, n),
        "reference_label": None, "active_fraction": 0.5, "flops": 1, "flops_dense": 2, "budget": 0.5,
        "mode": "adaptive", "actor": None,
    })  # fmt: skip


def test_the_form_offers_what_is_known_and_begins_with_few_large_groups() -> None:
    """Attributes first; unknown columns are not offered; a unit is shared by several requests."""
    offered = choices(requests(), SETTINGS)
    assert offered.groups == ("author", "shop", "tongue", "label", "mode", "budget")
    assert offered.default_group == "tongue"
    assert offered.outcomes[:2] == ("label", "score")
    assert offered.default_outcome == "label"
    assert offered.strata[:2] == ("length", "frequency")
    assert offered.units == ("author", "shop", "tongue")


def test_nothing_that_divides_is_no_default() -> None:
    """Without any known column there is no group."""
    bare = requests().assign(attributes=None, label=None, mode=None, budget=None)
    assert choices(bare, SETTINGS).default_group is None


def test_an_attribute_called_length_is_offered_once() -> None:
    """As a stratum the name means the length of the text."""
    frame = requests()
    frame["attributes"] = [{"length": "long"}] * len(frame)
    assert choices(frame, SETTINGS).strata.count("length") == 1


def test_values_and_the_favourable_one() -> None:
    """Texts are listed, many numbers are not; of two values the usual one, else the last."""
    assert values_of(requests(), "label") == ["no", "yes"]
    assert values_of(requests(), "score") == []
    assert usual_favourable(["negative", "Positive"]) == "Positive"
    assert usual_favourable(["ham", "spam"]) == "spam"
    assert usual_favourable([]) is None


def test_sizes_count_what_is_not_known_too() -> None:
    """Largest first; a request without a value is counted under None."""
    frame = requests()
    frame.loc[0, "label"] = None
    assert group_sizes(frame, "label").values.tolist() == [["yes", 45, 450], ["no", 14, 140], [None, 1, 10]]


def test_the_requests_of_a_cell_come_with_their_counts() -> None:
    """Group a uses expert 1 in 1 to 30 of 40 choices: the largest first, then those of b, which never do."""
    frame = requests()
    is_a = np.arange(60) % 2 == 0
    ones = np.where(is_a, np.arange(60) // 2 + 1, 0)
    decisions = pd.concat([
        pd.DataFrame({"run_id": "r", "request_id": frame["request_id"], "layer": 0, "expert_id": 1, "n": ones,
                      "n_first": 0}),
        pd.DataFrame({"run_id": "r", "request_id": frame["request_id"], "layer": 0, "expert_id": 0, "n": 40 - ones,
                      "n_first": 40}),
    ])  # fmt: skip
    found = documents(frame, decisions, (1, 2), group="tongue", settings=SETTINGS)
    rows = cell_requests(found, 0, 1, "a", "all others", most=2)
    assert rows.values.tolist() == [
        ["r", "q58", "a", 0.75, 30, 40], ["r", "q56", "a", 0.725, 29, 40], ["r", "q01", "b", 0.0, 0, 40],
        ["r", "q03", "b", 0.0, 0, 40],
    ]  # fmt: skip
