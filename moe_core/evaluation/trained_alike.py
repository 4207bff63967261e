"""Rules of routing against each other, each on weights trained for it: same text, steps, warm start, losses, seeds.

    python -m moe_core.evaluation.trained_alike CONFIG.toml OUT.jsonl

CONFIG is a training configuration (`data/configs/rules.toml`); OUT gets one line per rule and seed, and a run that was
cut off goes on behind the last line. `threshold` is the adaptive rule put on the weights trained for top-k afterwards.
All are measured on held-out text at the same mean share of experts per token.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moe_core.config import load_config
from moe_core.errors import RouteLensError
from moe_core.model import pipeline
from moe_core.model.base import installed_base, load_base
from moe_core.model.calibration import reference_batches
from moe_core.model.encoder import Encoder, PackedTexts, RouteLayer, pack, pool
from moe_core.model.pipeline import MEASURED_TOKENS, sample_of_every_domain
from moe_core.model.router import Routing, Thresholds, decide_at, relative_scores
from moe_core.model.split import expert_layers
from moe_core.model.text_batches import TokenizedTexts, tokenize_corpus
from moe_core.model.tokens import TextTokenizer
from moe_core.model.training import TrainingConfig, train, warm_start
from moe_core.model.training_rules import Rule, choose, threshold_for

RULES: tuple[Rule, ...] = ("adaptive", "topk", "random", "topp", "narrow")
SEEDS = (0, 1, 2)
SHARES = (0.5, 0.25, 0.125)
HELD_OUT = 12  # texts of every kind


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Packed texts and what the dense original makes of them."""

    batches: Sequence[PackedTexts]
    dense_BD: Sequence[Tensor]

    @classmethod
    def of(cls, dense: Encoder, texts: TokenizedTexts) -> "HeldOut":
        ids = [
            texts.text(row, MEASURED_TOKENS)
            for domain in range(len(texts.domains))
            for row in (texts.domain_N == domain).nonzero()[0][:HELD_OUT].tolist()
        ]
        with torch.inference_mode():
            _, batches, dense_BD = reference_batches(dense, ids)
        return cls(batches, dense_BD)

    @torch.inference_mode()
    def measure(self, student: Encoder, route: RouteLayer) -> tuple[float, float]:
        """(mean share of the experts per token, mean cosine to the dense embeddings)."""
        cosines: list[float] = []
        ran, places = 0.0, 0
        for packed, dense_BD in zip(self.batches, self.dense_BD, strict=True):
            hidden_TD, routings = student(packed, route)
            cosines += (pool(hidden_TD, packed) * dense_BD).sum(dim=1).tolist()
            ran += sum(float((routing.gates_TE > 0).sum()) for routing in routings)
            places += sum(routing.gates_TE.numel() for routing in routings)
        return ran / places, sum(cosines) / len(cosines)


def route_by(rule: Rule, level: float) -> RouteLayer:
    """The rule at `level`: share of experts, for topp the probability covered."""

    def route(layer: int, logits_TE: Tensor) -> Routing:
        gates_TE = choose(rule, logits_TE, level, layer)
        none_T = torch.zeros(len(gates_TE), dtype=torch.bool)
        return Routing(logits_TE, relative_scores(logits_TE), torch.zeros(gates_TE.shape[1]), gates_TE, none_T)

    return route


@torch.inference_mode()
def adaptive_route(student: Encoder, texts: PackedTexts, share: float) -> RouteLayer:
    """Thresholds at which every layer runs the share of its experts on `texts`, as in training."""
    blocks = expert_layers(student)
    found: list[Thresholds] = []

    def first(layer: int, logits_TE: Tensor) -> Routing:
        router = blocks[layer].router
        tau = threshold_for(logits_TE, router, share)
        found.append(Thresholds.of(router.thresholds_E(tau), student.config.ramp))
        return decide_at(logits_TE, found[layer])

    student(texts, first)
    return lambda layer, logits_TE: decide_at(logits_TE, found[layer])


def at_share(measure: Callable[[float], tuple[float, float]], share: float, *, rising: bool) -> tuple[float, float]:
    """(share, cosine) at the knob in [0, 1] whose share comes closest to `share`, by bisection."""
    low, high = 0.0, 1.0
    found = (0.0, 0.0)
    for _ in range(8):
        middle = (low + high) / 2
        found = measure(middle)
        low, high = (middle, high) if (found[0] < share) == rising else (low, middle)
    return found


def measured(
    rule: Rule, student: Encoder, held_out: HeldOut, sample: PackedTexts
) -> dict[str, list[tuple[float, float]]]:
    """(share, cosine) near every one of SHARES, by the name of the rule that runs; `sample`: to fit thresholds on."""

    def adaptive() -> list[tuple[float, float]]:
        return [held_out.measure(student, adaptive_route(student, sample, share)) for share in SHARES]

    if rule == "adaptive":
        return {"adaptive": adaptive()}
    if rule == "topp":
        return {"topp": [
            at_share(lambda level: held_out.measure(student, route_by("topp", level)), share, rising=True)
            for share in SHARES
        ]}  # fmt: skip
    points = {str(rule): [held_out.measure(student, route_by(rule, share)) for share in SHARES]}
    return points | ({"threshold": adaptive()} if rule == "topk" else {})


def train_rule(dense: Encoder, texts: TokenizedTexts, config: TrainingConfig) -> Encoder:
    """A student trained for `config.rule` from the split original."""
    torch.manual_seed(config.seed)
    student = pipeline.split(dense, config)
    for _ in warm_start(student, dense, texts, config):
        pass
    student = pipeline.narrow(student, texts, config)
    with tempfile.TemporaryDirectory() as state:
        for _ in train(student, dense, texts, config, Path(state)):
            pass
    pipeline.finish(student, config)
    return student


def compare(config: TrainingConfig, out: Path, rules: Iterable[Rule] = RULES, seeds: Iterable[int] = SEEDS) -> None:
    """Trains and measures what `out` does not hold yet, seed by seed."""
    source = installed_base()
    dense = load_base(source).requires_grad_(False)
    texts = tokenize_corpus(
        Path(config.corpus), TextTokenizer(source / "tokenizer.json", config.batch.max_tokens).tokenizer
    )
    held = tokenize_corpus(Path(config.heldout), TextTokenizer(source / "tokenizer.json", MEASURED_TOKENS).tokenizer)
    held_out = HeldOut.of(dense, held)
    sample = pack(sample_of_every_domain(texts, 8, config))
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    done = {(line["trained_for"], line["seed"]) for line in map(json.loads, lines)}
    rules = list(rules)
    for seed in seeds:
        for rule in rules:
            if (rule, seed) in done:
                continue
            started = time.perf_counter()
            student = train_rule(dense, texts, dataclasses.replace(config, rule=rule, seed=seed))
            points = measured(rule, student, held_out, sample)
            line: dict[str, Any] = {
                "trained_for": rule, "seed": seed, "steps": config.steps, "points": points,
                "all_on": held_out.measure(student, route_by("topk", 1.0))[1],
                "n_texts": sum(map(len, held_out.dense_BD)), "seconds": round(time.perf_counter() - started),
            }  # fmt: skip
            with out.open("a", encoding="utf-8") as lines_file:
                lines_file.write(json.dumps(line) + "\n")


def table(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """A Markdown table: mean cosine over the seeds and their range, at every share."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    for line in lines:
        for rule, points in line["points"].items():
            found.setdefault((rule, line["trained_for"]), []).append([cosine for _, cosine in points])
    rows = [
        f"| {rule} | {trained_for} | {len(cosines)} | "
        + " | ".join(f"{np.mean(at):.4f} ({min(at):.4f} to {max(at):.4f})" for at in zip(*cosines, strict=True))
        + " |"
        for (rule, trained_for), cosines in found.items()
    ]
    heads = " | ".join(f"cosine at share {share:g}" for share in SHARES)
    return [f"| rule | trained for | seeds | {heads} |", "|---|---|---|" + "---|" * len(SHARES), *rows]


if __name__ == "__main__":
    try:
        compare(load_config(Path(sys.argv[1]), TrainingConfig), Path(sys.argv[2]))
        print("\n".join(table([json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()])))
    except (IndexError, RouteLensError) as error:
        sys.exit(str(error) if isinstance(error, RouteLensError) else __doc__)
