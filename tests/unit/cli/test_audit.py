"""`routelens audit`: on logs that this project's own generator did not make, through a store written by `import`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moe_core.analysis.audit.controls import self_tests
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.routing import audit_routing
from moe_core.analysis.audit.settings import AuditSettings
from tests.unit.cli.conftest import Command, assert_refused, document
from tests.unit.cli.routed_texts import (
    EXPERTS,
    GROUPS,
    LAYERS,
    PLANTED_EXPERTS,
    PLANTED_LAYER,
    Rule,
    Texts,
    make_texts,
    write_texts,
)

RULES: tuple[Rule, ...] = ("threshold", "topk")


def imported(routelens: Command, store: Path, folder: Path, texts: Texts, run_id: str, **columns: Any) -> Path:
    write_texts(folder, texts, run_id, **columns)
    done = routelens("import", "parquet", folder, "--store", store)
    assert done.returncode == 0, done.stderr
    return store


@pytest.fixture(scope="module")
def texts() -> dict[str, Texts]:
    """"planted": a factor of 2 for two experts of layer 1 in one group; "same": none. 60 texts a group."""
    return {
        "planted": make_texts(np.random.default_rng(1), 60, rule="threshold", factor=2.0),
        "same": make_texts(np.random.default_rng(2), 60, rule="threshold"),
    }


def test_a_planted_difference_is_caught_and_its_absence_is_not(
    routelens: Command, store: Path, tmp_path: Path, texts: dict[str, Texts]
) -> None:
    """Both runs in one store, each by its id; the keys are those of the contract; other layers are left alone."""
    for run_id, of_run in texts.items():
        imported(routelens, store, tmp_path / run_id, of_run, run_id)
    out = document(routelens("audit", "--group", "region", "--run", "planted", "--store", store, "--json"))
    assert out["valid"] is True
    assert set(out) >= {"valid", "layers", "cells", "compute", "outcome", "self_tests", "verdicts", "runs"}
    assert set(out["layers"][0]) >= {"layer", "jsd", "jsd_debiased", "p", "flagged"}
    assert set(out["cells"][0]) >= {"layer", "expert_id", "group", "share", "reference_share", "difference", "interval",
                                    "p_maxt", "q_bh", "flagged"}  # fmt: skip
    assert [layer["flagged"] for layer in out["layers"]] == [False, True, False]
    flagged = {(c["layer"], c["expert_id"]) for c in out["cells"] if c["flagged"] and c["group"] == "west"}
    assert flagged >= {(PLANTED_LAYER, expert) for expert in PLANTED_EXPERTS}
    assert {c["layer"] for c in out["cells"] if c["flagged"]} == {PLANTED_LAYER}
    assert out["verdicts"]["routing"]["finding"] == "difference"
    assert out["verdicts"]["compute"]["finding"] in ("difference", "none found")
    assert out["verdicts"]["outcome"]["finding"] == "not examined"
    assert out["outcome"] is None
    assert out["activation"]
    assert out["runs"] == ["planted"]
    assert (out["identity"][0]["model"], out["identity"][0]["budget"]) == ("other", None)
    same = document(routelens("audit", "--group", "region", "--run", "same", "--store", store, "--json"))
    assert same["valid"] is True
    assert not any(part["flagged"] for name in ("layers", "cells", "activation") for part in same[name])
    assert same["verdicts"]["routing"]["finding"] == "none found"
    assert 0 < same["minimum_detectable_difference"] < 0.2
    shown = routelens("audit", "--group", "region", "--run", "planted", "--store", store)
    assert shown.returncode == 0
    for words in ("ROUTING: Routing differs: layer 1", "Negative control", "What this does not show", "west: 60"):
        assert words in shown.stdout


def counts_of(texts: Texts) -> RoutingCounts:
    counts_DLE = np.zeros((len(texts.group_R), LAYERS, EXPERTS), np.int32)
    np.add.at(counts_DLE, (texts.request_N, texts.layer_N, texts.expert_N), 1)
    tokens_DL = np.repeat(texts.length_R[:, None], LAYERS, axis=1).astype(np.int32)
    return RoutingCounts(counts_DLE=counts_DLE, tokens_DL=tokens_DL, group_D=texts.group_R, groups=GROUPS)


@pytest.mark.parametrize("rule", RULES)
def test_false_alarms_are_as_rare_as_promised(rule: Rule) -> None:
    """100 such logs without a difference, three groups: at most 13 are flagged anywhere (99.9 % limit of 5 %), and
    planted ones are caught in 20 of 20."""
    alarms = caught = 0
    for run in range(100):
        quick = AuditSettings(permutations=199, resamples=100, seed=run)
        made = make_texts(np.random.default_rng([11, run]), 20, rule=rule)
        alarms += audit_routing(counts_of(made), quick)[0].flagged
    for run in range(20):
        quick = AuditSettings(permutations=199, resamples=100, seed=run)
        made = make_texts(np.random.default_rng([12, run]), 60, rule=rule, factor=2.5)
        caught += bool(audit_routing(counts_of(made), quick)[0].layers["flagged"][PLANTED_LAYER])
    assert alarms <= 13
    assert caught == 20


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_false_alarms_over_many_logs(rule: Rule) -> None:
    """400 logs without a difference: significance anywhere within the 99.9 % band of 5 %; and 60 of their own controls
    hold in all but a few."""
    significant = invalid = 0
    for run in range(400):
        quick = AuditSettings(permutations=199, resamples=100, seed=run)
        result, null = audit_routing(counts_of(make_texts(np.random.default_rng([13, run]), 20, rule=rule)), quick)
        frames = [result.layers, result.cells, *([] if result.activation is None else [result.activation])]
        significant += any(bool((frame["p_joint"] <= 0.05).any()) for frame in frames)
        if run < 60:
            invalid += not self_tests(null, quick).negative.passed
    assert 7 <= significant <= 37
    assert invalid <= 3


def test_strata_outcome_and_reference_in_one_call(
    routelens: Command, store: Path, tmp_path: Path, texts: dict[str, Texts]
) -> None:
    """Within quartiles of length and the tone; every region against one; outcomes that differ."""
    rng = np.random.default_rng(3)
    of_run = texts["planted"]
    chance = np.where(of_run.group_R == 0, 0.8, 0.3)
    label = np.where(rng.random(len(chance)) < chance, "yes", "no").tolist()
    right = np.where(rng.random(len(chance)) < 0.5, "yes", "no").tolist()
    imported(routelens, store, tmp_path / "in", of_run, "r", label=label, reference_label=right)
    out = document(routelens(
        "audit", "--group", "region", "--strata", "length", "--strata", "tone", "--outcome", "label", "--reference",
        "north", "--store", store, "--json",
    ))  # fmt: skip
    assert out["analysis"] == "within strata"
    assert out["strata"]["columns"] == ["length", "tone"]
    assert {(c["group"], c["reference"]) for c in out["cells"]} == {("south", "north"), ("west", "north")}
    assert out["marginal"]["layers"][PLANTED_LAYER]["flagged"]
    assert out["layers"][PLANTED_LAYER]["flagged"]
    assert out["verdicts"]["outcome"]["finding"] == "difference"
    assert {r["metric"] for r in out["outcome"]["rates"]} == {"selection_rate", "true_positive_rate",
                                                              "false_positive_rate", "base_rate"}  # fmt: skip
    assert {r["rule"] for r in out["outcome"]["ratios"]} == {"below"}


def test_a_log_whose_texts_come_from_few_authors_is_stamped(
    routelens: Command, store: Path, tmp_path: Path
) -> None:
    """Every author wrote 12 texts that are routed alike, and writes in one region. By request: NOT VALID, exit code 1,
    with what to do. By author: valid."""
    one_each = make_texts(np.random.default_rng(5), 8, rule="topk")
    chosen = np.tile(np.arange(24), 12)
    pieces = [np.flatnonzero(one_each.request_N == r) for r in chosen]
    rows = np.concatenate(pieces)
    many = Texts(
        group_R=one_each.group_R[chosen], length_R=one_each.length_R[chosen],
        request_N=np.repeat(np.arange(len(chosen)), [len(piece) for piece in pieces]),
        position_N=one_each.position_N[rows], layer_N=one_each.layer_N[rows], expert_N=one_each.expert_N[rows],
        rank_N=one_each.rank_N[rows],
    )  # fmt: skip
    imported(routelens, store, tmp_path / "in", many, "r", actor=[f"author {r}" for r in chosen])
    done = routelens("audit", "--group", "region", "--store", store, "--json")
    assert done.returncode == 1, done.stderr
    out = json.loads(done.stdout)
    assert out["valid"] is False
    assert "--unit actor" in out["invalid_reasons"][0]
    shown = routelens("audit", "--group", "region", "--store", store)
    assert shown.returncode == 1
    assert "AUDIT NOT VALID" in shown.stdout
    by_author = document(routelens("audit", "--group", "region", "--unit", "actor", "--store", store, "--json"))
    assert by_author["documents"] == 24
    assert by_author["valid"] is True
    assert by_author["warnings"][0].startswith("Underpowered")


def test_wrong_input_ends_in_one_clear_sentence(
    routelens: Command, store: Path, tmp_path: Path, texts: dict[str, Texts]
) -> None:
    """Exit code 2 and one line: column missing, three documents, as many groups as texts, NaN outcomes, unknown
    reference and run, a wrong setting."""
    of_run = texts["same"]
    n = len(of_run.group_R)
    attributes = [
        json.dumps({"region": GROUPS[g], "few": "rare" if i < 3 else "usual", "id": str(i),
                    "grade": "nan" if i == 7 else str(i % 2)})
        for i, g in enumerate(of_run.group_R)
    ]  # fmt: skip
    imported(routelens, store, tmp_path / "in", of_run, "r", attributes=attributes)
    for words, expected in (
        (["--group", "sex"], ["'sex'", "region"]),
        (["--group", "few"], ["'rare'", "3 documents"]),
        (["--group", "id"], [f"{n} different values", "at most 30"]),
        (["--group", "region", "--outcome", "grade"], ["'grade'", "NaN"]),
        (["--group", "region", "--reference", "east"], ["'east'", "'north'"]),
        (["--group", "region", "--run", "nowhere"], ["no run 'nowhere'"]),
    ):
        assert_refused(routelens("audit", *words, "--store", store, "--json"), *expected)
    settings = tmp_path / "s.toml"
    settings.write_text("permutation = 99\n")
    refused = routelens("audit", "--group", "region", "--store", store, "--settings", settings)
    assert_refused(refused, "unknown key 'permutation'", "'permutations'")


def test_settings_come_from_a_file_and_the_same_seed_gives_the_same_report(
    routelens: Command, store: Path, tmp_path: Path, texts: dict[str, Texts]
) -> None:
    """Fewer permutations, another gate; two calls agree to the last digit."""
    imported(routelens, store, tmp_path / "in", texts["planted"], "r")
    settings = tmp_path / "s.toml"
    settings.write_text("permutations = 199\nmin_difference = 0.9\nratio_low = 0.01\nratio_high = 100.0\n")
    words = ("audit", "--group", "region", "--store", store, "--settings", settings, "--json")
    one, other = document(routelens(*words)), document(routelens(*words))
    assert one == other
    assert one["settings"]["permutations"] == 199
    assert not any(cell["flagged"] for cell in one["cells"])  # significant, but nothing is that large
    assert min(cell["p_maxt"] for cell in one["cells"]) < 0.01
