"""A tiny model with a head, a folder of tasks for it, and an evaluation.json with figures made up by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moe_core.model.calibration import Calibration, DialPoint
from moe_core.model.heads import Head, HeadCard
from moe_core.model.reference import RoutedModel
from moe_core.model.tokens import TextTokenizer
from tests.unit.tiny_encoders import WORDS, dense_encoder, save_tokenizer, sparse_encoder


@pytest.fixture
def model(tmp_path: Path) -> RoutedModel:
    """2 layers, D = 16, 4 experts of 8 neurons, a dial of three points, heads `sentiment` and `mood` of two labels."""
    torch.manual_seed(3)
    dense = dense_encoder(n_positions=24)
    adapted = sparse_encoder(dense)
    folder = tmp_path / "model"
    folder.mkdir()
    save_tokenizer(folder / "tokenizer.json")
    points = tuple(
        DialPoint(tau, share, 0.9, 0.8, 10, 100, [share] * 2, {"mail": [share, 0.9, 10.0]})
        for tau, share in ((0.9, 0.2), (0.5, 0.6), (0.0, 1.0))
    )
    heads = {
        name: Head(HeadCard(name=name, labels=["bad", "good"]), 3 * torch.randn(2, 16), torch.zeros(2))
        for name in ("sentiment", "mood")
    }
    return RoutedModel(
        adapted=adapted, dense=dense,
        tokenizer=TextTokenizer(folder / "tokenizer.json", 24),
        calibration=Calibration(points), heads=heads, name="tiny", sha256="a" * 64, folder=folder,
    )  # fmt: skip


@pytest.fixture
def write_task() -> Callable[..., Path]:
    """write_task(folder, n) -> folder with train.jsonl and test.jsonl of random words; no text on both sides."""

    def write(folder: Path, n: int = 40, domains: tuple[str, ...] = ("mail", "chat")) -> Path:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(len(folder.name))
        for side, mark in (("train", "late"), ("test", "again")):
            rows: list[dict[str, str]] = []
            for i in range(n):
                words = " ".join(rng.choice(WORDS, size=int(rng.integers(3, 9))))
                label = ("good", "bad")[i % 2]
                rows.append({"text": f"{mark} {label} {words}", "label": label, "domain": domains[i % len(domains)]})
            (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return write


def point(rule: str, budget: float, delta: float, *, half: float = 0.2, **other: float) -> dict[str, Any]:
    return {"rule": rule, "budget": budget, "active_fraction": budget, "accuracy": 0.9, "ece": 0.02,
            "delta_points": delta, "delta_low": delta - half, "delta_high": delta + half, "agreement": 0.98,
            "cosine": 0.95, "flops_ratio": 0.2 + budget / 2, **other}  # fmt: skip


@pytest.fixture
def document() -> dict[str, Any]:
    """Everything is met, with room."""

    def task(name: str, kind: str, delta: float) -> dict[str, Any]:
        points = [point("adaptive", b, delta) for b in (0.35, 0.25, 0.15)]
        ahead = {"adaptive_ahead": 0.5, "adaptive_ahead_low": 0.3, "adaptive_ahead_high": 0.7}
        points += [point("topk", b, delta - 0.5, **ahead) for b in (0.35, 0.25, 0.15)]
        worst = {"slice": "mail", "n": 100, "budget": 0.35, "delta_points": -1.0, "delta_low": -2.0, "delta_high": 0.0}
        return {"name": name, "kind": kind, "n": 1000, "dense": {"accuracy": 0.9, "ece": 0.01}, "points": points,
                "worst": worst}  # fmt: skip

    escalation = {
        "base_budget": 0.25, "asked_share": 0.2, "margin_below": 0.3, "n": 500, "escalated_share": 0.2,
        "flops_ratio": 0.37, "delta_points": -0.1, "delta_low": -0.2, "delta_high": 0.1, "without_delta_points": -1.0,
        "hardest_tenth_n": 50, "hardest_tenth_delta_points": 0.0, "hardest_tenth_low": -0.1, "hardest_tenth_high": 0.1,
        "hardest_tenth_without": -3.0, "same_flops_budget": 0.3, "same_flops_ratio": 0.37,
        "same_flops_delta_points": -0.5, "changed_share": 0.02, "same_cost_as": None,
    }  # fmt: skip
    lost = {"task": "spam", "n": 900, "tried": 96, "confirmed": 4, "worst": ["1:2"], "worst_points": -0.1,
            "worst_low": -0.3, "worst_high": 0.1, "n_screened": 100, "mean_points": 0.0,
            "screened_worst_points": -1.0}  # fmt: skip
    difficulty: dict[str, Any] = {
        "budget": 0.35, "n_texts": 300, "n_tokens": 9000, "spearman": 0.3, "shuffled_mean": 0.0, "shuffled_p95": 0.02,
        "own_counts_cosine": 0.95, "shuffled_counts_cosine": 0.93, "swap_difference": 0.02, "swap_low": 0.015,
        "swap_high": 0.025,
        "quintiles": [{"quintile": q, "n": 1800, "difficulty": q / 10, "experts_per_token": 4.0 + q}
                      for q in range(1, 6)],
    }  # fmt: skip
    difficulty["settling"] = {key: difficulty[key] for key in ("spearman", "shuffled_p95", "quintiles", "n_tokens")}
    return {
        "format": 1, "made": "2026-11-24T10:00:00Z", "model_sha256": "a" * 64, "machine": "x86_64", "budgets": [0.35],
        "max_tokens": 192, "task_tokens": 40000,
        "tasks": [task("sentiment", "shipped", -0.1), task("spam", "shipped", -0.2)],
        "unseen": [task("snips", "unseen", -0.1), task("behaviour_cases", "unseen", -1.0)],
        "escalation": [escalation | {"task": name} | way for name in ("sentiment", "spam", "behaviour_cases")
                       for way in ({}, {"same_cost_as": 0.35, "asked_share": 0.11})],
        "lost_experts": {"budget": 0.35, "single": [lost], "pair": [lost | {"worst": ["0:1", "1:2"]}]},
        "difficulty": difficulty,
        "layers": [{"budget": 0.35, "layer": layer, "active_fraction": 0.35} for layer in (0, 1)],
        "load": [{"budget": 0.35, "busiest_ratio": 2.0, "dead": 0, "cold": 1, "n_tokens": 9000}],
        "wall": [{"budget": 0.35, "regime": "batch256", "threads": 1, "ratio_wall_p50": 0.6}],
    }  # fmt: skip
