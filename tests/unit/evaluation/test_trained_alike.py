"""Rules trained alike: the share that is asked for is the share that runs, and nothing is trained twice."""

import json
from pathlib import Path

import pytest
import torch

from moe_core.evaluation import trained_alike
from moe_core.evaluation.trained_alike import HeldOut, adaptive_route, at_share, measured, route_by, table
from moe_core.model.encoder import Encoder, pack, pool
from moe_core.model.router import Router, RouterConfig, decide
from moe_core.model.training_rules import threshold_for
from tests.unit.tiny_encoders import dense_encoder, sparse_encoder

TEXTS = [[1 + (7 * i + j) % 49 for j in range(3 + i % 9)] for i in range(60)]


@pytest.fixture
def pair() -> tuple[Encoder, Encoder, HeldOut]:
    """(dense, split, held-out texts)."""
    torch.manual_seed(0)
    dense = dense_encoder(n_positions=64)
    student = sparse_encoder(dense, with_means=True)
    batches = [pack(TEXTS[:30]), pack(TEXTS[30:])]
    with torch.inference_mode():
        return dense, student, HeldOut(batches, [pool(dense(packed)[0], packed) for packed in batches])


@pytest.mark.parametrize("rule", ["topk", "random", "narrow", "topp", "adaptive"])
def test_every_rule_is_measured_near_the_same_shares(pair: tuple[Encoder, Encoder, HeldOut], rule: str) -> None:
    """Half of four experts exactly where the rule counts, nearly where a threshold is fitted on other texts."""
    _, student, held_out = pair
    points = measured(rule, student, held_out, pack(TEXTS))  # type: ignore[arg-type]
    tolerance = 1e-9 if rule in ("topk", "random", "narrow") else 0.05
    assert points[rule][0][0] == pytest.approx(0.5, abs=tolerance)
    assert ("threshold" in points) == (rule == "topk")


def test_all_experts_are_the_original(pair: tuple[Encoder, Encoder, HeldOut]) -> None:
    """Cosine 1 at share 1, by every rule that has one."""
    _, student, held_out = pair
    for rule in ("topk", "random", "narrow", "topp"):
        assert held_out.measure(student, route_by(rule, 1.0)) == pytest.approx((1.0, 1.0), abs=1e-5)  # type: ignore[arg-type]


def test_thresholds_fitted_on_a_sample_run_the_share_there(pair: tuple[Encoder, Encoder, HeldOut]) -> None:
    """In every layer, not only on average."""
    _, student, _ = pair
    packed = pack(TEXTS)
    with torch.inference_mode():
        _, routings = student(packed, adaptive_route(student, packed, 0.5))
    for routing in routings:
        assert float((routing.gates_TE > 0).float().mean()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("level", [0.4, 0.6, 0.75, 1.0])
def test_a_batch_has_one_threshold_for_a_share(level: float) -> None:
    """Learned factors included; all experts need none."""
    torch.manual_seed(1)
    router = Router(RouterConfig(d_model=8, n_experts=4, hidden=8))
    router.threshold_offset_E.copy_(torch.tensor([0.2, -0.1, 0.0, -0.1]))
    logits_TE = torch.randn(500, 4)
    tau = threshold_for(logits_TE, router, level)
    gates_TE = decide(logits_TE, router.thresholds_E(tau), 0.2).gates_TE
    assert float((gates_TE > 0).float().mean()) == pytest.approx(level, abs=0.01)


def test_bisection_finds_the_knob_in_both_directions() -> None:
    """Shares that rise and that fall with the knob."""
    assert at_share(lambda knob: (knob, 1.0), 0.3, rising=True)[0] == pytest.approx(0.3, abs=0.01)
    assert at_share(lambda knob: (1 - knob, 1.0), 0.3, rising=False)[0] == pytest.approx(0.3, abs=0.01)


def test_the_table_shows_mean_and_range_over_seeds() -> None:
    """Two seeds of one rule; the threshold put on weights trained for top-k is a row of its own."""
    lines = [
        {
            "trained_for": "topk",
            "seed": seed,
            "points": {"topk": [[0.5, 0.9 + seed / 100]] * 3, "threshold": [[0.5, 0.8]] * 3},
        }
        for seed in (0, 2)
    ]
    text = "\n".join(table(lines))
    assert "| topk | topk | 2 | 0.9100 (0.9000 to 0.9200)" in text
    assert "| threshold | topk | 2 | 0.8000" in text


def test_a_run_that_was_cut_off_goes_on_behind_the_last_line(
    pair: tuple[Encoder, Encoder, HeldOut], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file holds is not trained again."""
    dense, student, _ = pair
    trained: list[tuple[str, int]] = []

    def fake(_: object, __: object, config: trained_alike.TrainingConfig) -> Encoder:
        trained.append((config.rule, config.seed))
        return student

    corpus = tmp_path / "texts.jsonl"
    rows = [{"text": f"word {i}", "domain": "ab"[i % 2]} for i in range(20)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(trained_alike, "load_base", lambda _: dense)
    monkeypatch.setattr(trained_alike, "tokenize_corpus", lambda *_: fake_texts())
    monkeypatch.setattr(trained_alike, "train_rule", fake)
    out = tmp_path / "out.jsonl"
    out.write_text(json.dumps({"trained_for": "topk", "seed": 0}) + "\n")
    trained_alike.compare(trained_alike.TrainingConfig(), out, rules=("topk", "narrow"), seeds=(0, 1))
    assert trained == [("narrow", 0), ("topk", 1), ("narrow", 1)]
    assert [json.loads(line)["trained_for"] for line in out.read_text().splitlines()] == [
        "topk",
        "narrow",
        "topk",
        "narrow",
    ]


def fake_texts() -> trained_alike.TokenizedTexts:
    """TEXTS in two domains."""
    import numpy as np

    offsets = np.cumsum([0, *map(len, TEXTS)]).astype(np.int64)
    ids = np.array([i for row in TEXTS for i in row], dtype=np.uint16)
    return trained_alike.TokenizedTexts(ids, offsets, (np.arange(len(TEXTS)) % 2).astype(np.int16), ("a", "b"))
