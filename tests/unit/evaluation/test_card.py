"""The card says what the figures allow: met, open or missed, and nothing from memory."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from moe_core.errors import CheckpointError
from moe_core.evaluation.card import write_card
from moe_core.evaluation.findings import findings, mean_points, verdict

Document = dict[str, Any]


def verdicts(document: Document) -> dict[str, str]:
    return {finding.name: finding.verdict for finding in findings(document)}


def test_everything_met_with_room_holds(document: Document) -> None:
    """Each aim has one finding, and each sentence its n."""
    found = findings(document)
    assert {finding.verdict for finding in found} == {"holds"}
    assert [finding.name for finding in found] == [
        "quality, mean", "quality, worst task", "better than fixed top-k", "never trained on: snips",
        "never trained on: behaviour_cases", "never trained on, with escalation", "hardest tenth with escalation",
        "one expert lost", "two experts lost", "hard tokens", "no dead expert",
    ]  # fmt: skip
    assert all("n = " in f.sentence or "tokens" in f.sentence or "tasks" in f.sentence for f in found)


@pytest.mark.parametrize(
    ("estimate", "low", "expected"),
    [(-0.1, -0.3, "holds"), (-0.4, -0.8, "open"), (-0.6, -0.9, "does not hold")],
)
def test_a_bound_is_met_open_or_missed(estimate: float, low: float, expected: str) -> None:
    """At a bound of -0.5: by the interval, by the estimate alone, not at all."""
    assert verdict(estimate, low, -0.5) == expected


def test_each_missed_aim_is_said(document: Document) -> None:
    """Worse figures, one aim at a time."""
    spoilt = deepcopy(document)
    for p in spoilt["tasks"][1]["points"]:
        p["delta_points"] -= 2
        p["delta_low"] -= 2
    spoilt["lost_experts"]["single"][0] |= {"worst_points": -0.9, "worst_low": -1.5}
    spoilt["difficulty"]["spearman"] = spoilt["difficulty"]["settling"]["spearman"] = -0.1
    spoilt["difficulty"]["swap_low"] = -0.01
    spoilt["load"][0]["dead"] = 2
    for task in spoilt["tasks"]:
        for p in task["points"]:
            if p["rule"] == "topk":
                p["adaptive_ahead"] = -0.1
    found = verdicts(spoilt)
    for name in ("quality, mean", "quality, worst task", "one expert lost", "hard tokens", "no dead expert",
                 "better than fixed top-k"):  # fmt: skip
        assert found[name] == "does not hold", name
    assert found["two experts lost"] == "holds"


def test_quality_that_costs_too_much_is_not_quality_met(document: Document) -> None:
    """Where no budget gets below 45 % of the FLOPs, the mean is reported at the smallest and does not hold."""
    for task in document["tasks"]:
        for p in task["points"]:
            p["flops_ratio"] = 0.6
    found = next(f for f in findings(document) if f.name == "quality, mean")
    assert found.verdict == "does not hold"
    assert "60% of the encoder's FLOPs" in found.sentence


def test_how_to_escalate_is_picked_by_the_shipped_tasks_and_never_by_the_outcome(document: Document) -> None:
    """Three ways: the one that changes the fewest answers of the shipped tasks is taken although it came out worse on
    the cases than another; one that does not cost what budget .35 costs is no candidate."""
    rows = document["escalation"]
    worse = {"base_budget": 0.15, "changed_share": 0.01, "delta_points": -1.5, "delta_low": -2.0}
    costly = {"base_budget": 0.2, "changed_share": 0.0, "flops_ratio": 0.9, "same_cost_as": None}
    document["escalation"] = rows + [row | way for way in (worse, costly) for row in rows]
    found = next(f for f in findings(document) if f.name == "never trained on, with escalation")
    assert found.verdict == "does not hold"
    assert found.sentence.startswith("From budget 0.15")


def test_the_mean_of_tasks_is_more_certain_than_each(document: Document) -> None:
    """Two tasks with +- 0.2: +- 0.2 / sqrt(2)."""
    found = mean_points(document["tasks"], "adaptive", 0.25)
    assert found == pytest.approx((-0.15, -0.15 - 0.2 / 2**0.5, -0.15 + 0.2 / 2**0.5))
    assert mean_points(document["tasks"], "adaptive", 0.99) is None


@pytest.fixture
def folder(tmp_path: Path, document: Document) -> Path:
    """A model folder without weights: all that the card reads."""
    sizes = {"n_layers": 2, "d_model": 16, "n_experts": 4, "d_hidden": 32, "router_hidden": 8, "qk_width": 2}
    config = {"name": "tiny", "base": "some-base", "encoder": sizes, "training": {"steps": 7, "objective": {"x": 1}}}
    dial = [{"budget": share, "tau": 1 - share, "cosine": 0.9, "cosine_p05": 0.8, "n_texts": 10, "n_tokens": 100,
             "by_layer": [share] * 2, "by_domain": {"mail": [share, 0.9, 10.0], "a|b": [share, 0.8, 5.0]}}
            for share in (0.2, 0.35, 1.0)]  # fmt: skip
    head = {"name": "spam", "labels": ["ham", "spam"], "task": "Spam or not?", "source": "SMS.", "licence": "CC BY",
            "n_train": 50, "n_test": 20, "accuracy": {"dense": 0.9, "1": 0.9, "0.35": 0.88},
            "calibration_error": {"dense": 0.012, "1": 0.013, "0.35": 0.014}, "dense_only_accuracy": 0.91}  # fmt: skip
    (tmp_path / "heads").mkdir()
    for name, content in (("config", config), ("calibration", {"points": dial}), ("heads/spam", head),
                          ("evaluation", document), ("sources", [{"name": "manpages", "licence": "GPL"}])):  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def test_the_card_has_every_part_with_its_figures(folder: Path) -> None:
    """Provenance, dial, heads with calibration error, findings, losses, escalation, limits, sources."""
    card = write_card(folder).read_text()
    for expected in (
        "# Model card: tiny", "some-base (2 layers, width 16)", "steps 7", "query and key heads 2 wide",
        "Budgets below 0.200 are refused", "a\\|b", "| spam | 2 | 50 | 20 | 0.9100 |", "0.014",
        "**quality, mean: holds.**", "-0.40 to +0.00", "Worst slice of spam: mail", "## Escalation",
        "## Lost experts", "More experts go to harder tokens, and it matters", "| 0.35 | 2.0x | 0 | 1 | 9,000 |",
        "batch256", "## Must not be used for", "medical", "| manpages | GPL |",
    ):  # fmt: skip
        assert expected in card, expected


def test_the_card_says_that_hard_tokens_get_no_more_if_so(folder: Path, document: Document) -> None:
    """The sentence follows the figures, not the wish."""
    document["difficulty"] |= {"spearman": 0.01, "shuffled_p95": 0.02, "swap_low": -0.001}
    document["difficulty"]["settling"] |= {"spearman": -0.01}
    (folder / "evaluation.json").write_text(json.dumps(document))
    card = write_card(folder).read_text()
    assert "**hard tokens: does not hold.** More experts do not go to harder tokens." in card
    assert "More experts go to harder" not in card


def test_a_model_that_was_never_measured_has_a_card_without_figures(folder: Path) -> None:
    """No evaluation.json: the dial, the heads and the limits; nothing is claimed."""
    (folder / "evaluation.json").unlink()
    card = write_card(folder).read_text()
    assert "What holds" not in card
    assert "## Must not be used for" in card
    (folder / "calibration.json").unlink()
    with pytest.raises(CheckpointError, match=r"calibration.json is missing"):
        write_card(folder)


def test_the_makers_notes_stand_in_place_of_the_plain_provenance_and_limits(folder: Path) -> None:
    """Written once, not twice: the notes say how it was made and what it is not for; the figures stay."""
    (folder / "card_notes.md").write_text("Made in one evening.\n\n## Not for\nDecisions about people.\n")
    card = write_card(folder).read_text()
    assert card.startswith("# Model card: tiny\n\nMade in one evening.")
    assert "**Made with**" not in card
    assert "## Must not be used for" not in card
    assert "**quality, mean: holds.**" in card
