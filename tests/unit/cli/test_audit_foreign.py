"""`routelens audit` on stores of another make, written through `routelens import`: what is there is found, what is not
is not, and what cannot be audited ends in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.cli.foreign_logs import Log, Shape, make_log, write_log

TWO = ["a"] * 60 + ["b"] * 60


def stored(routelens: Command, store: Path, folder: Path, log: Log, shape: Shape, **columns: Any) -> Path:
    done = routelens("import", "parquet", write_log(folder, log, shape, **columns), "--store", store)
    assert done.returncode == 0, done.stderr
    return store


def flagged(out: dict[str, Any]) -> set[tuple[int, int]]:
    return {(cell["layer"], cell["expert_id"]) for cell in out["cells"] if cell["flagged"]}


def test_a_plant_in_unequal_groups_beside_tiny_ones_is_found(routelens: Command, store: Path, tmp_path: Path) -> None:
    """40 documents against 150, and groups of 12, 6 and 3 beside them, which are listed as too small; shared experts
    are no difference, a layer that takes the same experts for every token is none either."""
    shape = Shape(experts=10, shared=2, flat_layer=0, moved=((2, 5, 1.0),))
    group = ["a"] * 40 + ["b"] * 150 + ["c"] * 12 + ["d"] * 6 + ["e"] * 3
    stored(routelens, store, tmp_path / "in", make_log(np.random.default_rng(1), group, shape), shape)
    out = document(routelens("audit", "--group", "group", "--store", store, "--json"))
    assert out["valid"] is True
    assert [name["group"] for name in out["groups"] if name["tested"]] == ["a", "b"]
    assert (2, 5) in flagged(out)
    assert {layer for layer, _ in flagged(out)} == {2}
    assert out["verdicts"]["compute"]["sentence"].startswith("No difference of compute: experts per token")
    shown = routelens("audit", "--group", "group", "--store", store).stdout
    assert "c: 12 documents" in shown
    assert "(too small to test: 12)" in shown
    assert "Left out: 21 documents: their group has fewer than 20 documents" in shown
    asked = document(routelens("audit", "--group", "group", "--min-group", 6, "--store", store, "--json"))
    assert [name["group"] for name in asked["groups"] if name["tested"]] == ["a", "b", "c", "d"]
    assert (2, 5) in flagged(asked)


@pytest.mark.parametrize("by", ["length", "topic"])
def test_a_confounder_explains_itself_away(routelens: Command, store: Path, tmp_path: Path, by: str) -> None:
    """Texts of group "a" are longer, or of another topic, and that alone moves the routing: flagged as they are, and
    not within strata."""
    rng = np.random.default_rng(3)
    group = ["a"] * 110 + ["b"] * 110
    is_a = np.array(group) == "a"
    shape = Shape(layers=3, length_strength=0.8 * (by == "length"), topic_strength=0.6 * (by == "topic"))
    length_D = np.clip(rng.geometric(1 / np.where(is_a, 60, 30)), 4, 300) if by == "length" else None
    topic_D = np.where(is_a, rng.choice(3, 220, p=[0.6, 0.3, 0.1]), rng.choice(3, 220, p=[0.1, 0.3, 0.6]))
    log = make_log(rng, group, shape, topic_D=topic_D if by == "topic" else None, length_D=length_D)
    attributes = [{"topic": f"t{number}"} for number in log.topic_D]
    stored(routelens, store, tmp_path / "in", log, shape, attributes=attributes)
    plain = document(routelens("audit", "--group", "group", "--store", store, "--json"))
    assert plain["verdicts"]["routing"]["finding"] == "difference"
    within = document(routelens("audit", "--group", "group", "--strata", by, "--store", store, "--json"))
    assert within["valid"] is True
    assert within["verdicts"]["routing"]["finding"] == "none found"


def test_outcomes_of_any_spelling_are_compared(routelens: Command, store: Path, tmp_path: Path) -> None:
    """true/false, yes/no with empty ones, 0/1 as numbers, a score cut at its median; never an outcome in one group."""
    shape, rng = Shape(layers=2, median_tokens=12), np.random.default_rng(4)
    rate = np.where(np.array(TWO) == "a", 0.8, 0.25)
    hit = rng.random(120) < rate
    attributes = [
        {"word": str(bool(h)).lower(), "answer": None if i % 7 == 0 else ("yes" if h else "no"), "bit": int(h),
         "points": float(h) + rng.random(), "never": int(h and g == "a")}
        for i, (h, g) in enumerate(zip(hit, TWO, strict=True))
    ]  # fmt: skip
    stored(routelens, store, tmp_path / "in", make_log(rng, TWO, shape), shape, attributes=attributes)
    for name in ("word", "answer", "points"):
        out = document(routelens("audit", "--group", "group", "--outcome", name, "--store", store, "--json"))
        assert out["verdicts"]["outcome"]["finding"] == "difference", name
        assert out["verdicts"]["routing"]["finding"] == "none found", name
    words = ("audit", "--group", "group", "--store", store)
    never = document(routelens(*words, "--outcome", "never", "--json"))["outcome"]
    low, high = next(r["interval"] for r in never["rates"] if r["group"] == "b")
    assert low == 0
    assert high == pytest.approx(0.0602, abs=1e-3)
    low, high = next(p["interval"] for p in never["parity"] if p["metric"] == "demographic_parity_ratio")
    assert low == 0
    assert high > 0.01
    assert "'true' was taken as favourable" in routelens(*words, "--outcome", "word").stdout


def test_columns_of_requests_divide_too(routelens: Command, store: Path, tmp_path: Path) -> None:
    """Domain, label and actor of a log without attributes."""
    shape, rng = Shape(layers=2, median_tokens=12), np.random.default_rng(5)
    given = {
        "domain": ["law" if name == "a" else "chat" for name in TWO], "actor": [f"u{i % 3}" for i in range(120)],
        "label": ["pos" if i % 2 else "neg" for i in range(120)],
    }  # fmt: skip
    stored(routelens, store, tmp_path / "in", make_log(rng, TWO, shape), shape, group_key=None, **given)
    for name, groups in (("domain", 2), ("actor", 3), ("label", 2)):
        out = document(routelens("audit", "--group", name, "--store", store, "--json"))
        assert len(out["groups"]) == groups
        assert out["verdicts"]["routing"]["finding"] == "none found"


def test_what_cannot_be_audited_is_said_in_one_sentence(routelens: Command, store: Path, tmp_path: Path) -> None:
    """A stratum of one group only, an outcome nobody has, tokens that are not there, windows that are none."""
    shape, rng = Shape(layers=2, median_tokens=8), np.random.default_rng(6)
    log = make_log(rng, TWO, shape)
    attributes = [{"topic": "x" if name == "a" else "y", "kind": f"k{i}"} for i, name in enumerate(TWO)]
    stored(routelens, store, tmp_path / "in", log, shape, attributes=attributes)
    for words, expected in (
        (["--strata", "topic"], ["do not overlap", "topic"]), (["--strata", "frequency"], ["tokens"]),
        (["--favourable", "yes"], ["'label'", "no value"]), (["--windows", "month"], ["hour, day, week"]),
        (["--windows", "4"], ["one moment"]), (["--min-group", 1], ["2 documents or more"]),
        (["--min-group", 100], ["100 or more"]), (["--outcome", "kind"], ["120 values", "--favourable"]),
    ):  # fmt: skip
        assert_refused(routelens("audit", "--group", "group", *words, "--store", store), *expected)
    assert_refused(routelens("audit", "--group", "domain", "--store", store), "domain is not known", "120 of 120")


def test_windows_say_when_something_differed(routelens: Command, store: Path, tmp_path: Path) -> None:
    """Three days; on the last one the outcomes of "b" collapse. The key `windows`, its level, and the table."""
    shape, rng = Shape(layers=2, median_tokens=8), np.random.default_rng(7)
    group = ["a", "b"] * 90
    day = np.repeat([1, 2, 3], 60)
    ok = [int(rng.random() < (0.05 if d == 3 and g == "b" else 0.7)) for d, g in zip(day, group, strict=True)]
    stored(
        routelens, store, tmp_path / "in", make_log(rng, group, shape), shape, attributes=[{"ok": o} for o in ok],
        started_at=[f"2026-03-0{d}T{i % 24:02}:00:00Z" for i, d in enumerate(day)],
    )  # fmt: skip
    words = ("audit", "--group", "group", "--outcome", "ok", "--windows", "day", "--store", store)
    out = document(routelens(*words, "--json"))
    assert [row["outcome_flagged"] for row in out["windows"]] == [False, False, True]
    assert [row["documents"] for row in out["windows"]] == [60, 60, 60]
    assert out["windows_error_control"] == {
        "alpha": 0.05, "alpha_per_window": pytest.approx(0.05 / 3), "permutations": 999,
    }  # fmt: skip
    shown = routelens(*words).stdout
    assert "3 windows audited, each verdict of each window at 1.667%" in shown
