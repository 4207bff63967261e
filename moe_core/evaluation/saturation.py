"""When routing settles: agreement of the routing at steps of training with that at its end.

    python -m moe_core.evaluation.saturation CONFIG.toml OUT.json --state DIR

CONFIG is a training configuration. At steps spaced ever wider the student is copied and answers held-out text with the
share SHARE of every layer's experts; what ran is kept in DIR, and so is the training state: a run that was cut off
goes on. OUT gets, per step and layer, the share of the finished model's (token, expert) pairs that ran already (router
saturation, Muennighoff et al., OLMoE, 2024) with its interval, and what independent routing of the same loads would
give.
"""

import argparse
import copy
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.analysis.specialization.saturation import SHORT_RUN
from moe_core.config import load_config
from moe_core.errors import RouteLensError
from moe_core.evaluation.trained_alike import HeldOut, adaptive_route
from moe_core.model import pipeline
from moe_core.model.base import installed_base, load_base
from moe_core.model.encoder import Encoder, pack
from moe_core.model.pipeline import MEASURED_TOKENS, sample_of_every_domain
from moe_core.model.text_batches import tokenize_corpus
from moe_core.model.tokens import TextTokenizer
from moe_core.model.training import TrainingConfig, train, warm_start

SHARE = 0.35
BOOTSTRAPS = 1000


def snapshot_steps(steps: int) -> list[int]:
    """0, then about twice as many each time, and the last step."""
    result, step = [0], 10
    while step < steps:
        result.append(step)
        step = round(step * 1.8)
    return [*result, steps]


@torch.inference_mode()
def chosen_TLE(student: Encoder, held_out: HeldOut, sample: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Which experts run for the held-out tokens, in the order of the packed batches, at SHARE in every layer."""
    frozen = copy.deepcopy(student).eval().requires_grad_(False)
    route = adaptive_route(frozen, pack(sample), SHARE)
    parts: list[Tensor] = []
    for packed in held_out.batches:
        _, routings = frozen(packed, route)
        parts.append(torch.stack([routing.gates_TE > 0 for routing in routings], dim=1))
    result: NDArray[np.bool_] = torch.cat(parts).numpy()
    return result


def agreement(
    at_TLE: NDArray[np.bool_], end_TLE: NDArray[np.bool_], text_T: NDArray[np.int64], *, seed: int = 0
) -> list[dict[str, float]]:
    """One entry a layer: agreement, low, high (95 %, bootstrap over texts), chance. text_T numbers the texts from 0."""
    n_texts = int(text_T.max()) + 1
    both_TL, end_TL = (at_TLE & end_TLE).sum(axis=2), end_TLE.sum(axis=2)
    weights = np.random.default_rng(seed).multinomial(n_texts, np.full(n_texts, 1 / n_texts), BOOTSTRAPS)
    rows = []
    for layer in range(at_TLE.shape[1]):
        both = np.bincount(text_T, both_TL[:, layer], n_texts)
        ended = np.bincount(text_T, end_TL[:, layer], n_texts)
        draws = (weights @ both) / np.maximum(weights @ ended, 1)
        at_load, end_load = at_TLE[:, layer].mean(axis=0), end_TLE[:, layer].mean(axis=0)
        rows.append(
            {
                "agreement": float(both.sum() / max(ended.sum(), 1)),
                "low": float(np.quantile(draws, 0.025)),
                "high": float(np.quantile(draws, 0.975)),
                "chance": float((at_load * end_load).sum() / max(end_load.sum(), 1e-12)),
            }
        )
    return rows


def trained(config: TrainingConfig, state: Path) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
    """(step, chosen_TLE, text_T) at every snapshot; those that lie in `state` are read from there."""
    torch.manual_seed(config.seed)
    source = installed_base()
    dense = load_base(source).requires_grad_(False)
    tokenizer = TextTokenizer(source / "tokenizer.json", config.batch.max_tokens).tokenizer
    texts = tokenize_corpus(Path(config.corpus), tokenizer)
    held = tokenize_corpus(Path(config.heldout), TextTokenizer(source / "tokenizer.json", MEASURED_TOKENS).tokenizer)
    held_out, sample = HeldOut.of(dense, held), sample_of_every_domain(texts, 8, config)
    lengths = [length for packed in held_out.batches for length in packed.lengths_B]
    text_T = np.repeat(np.arange(len(lengths)), lengths)
    wanted = snapshot_steps(config.steps)

    def keep(step: int) -> NDArray[np.bool_]:
        file = state / f"chosen-{step}.npy"
        if not file.is_file():
            state.mkdir(parents=True, exist_ok=True)
            np.save(file, chosen_TLE(student, held_out, sample))
        chosen: NDArray[np.bool_] = np.load(file, allow_pickle=False)
        return chosen

    student = pipeline.split(dense, config)
    if not (state / "state.safetensors").is_file():
        for _ in warm_start(student, dense, texts, config):
            pass
    yield 0, keep(0), text_T
    done = 0
    for report in train(student, dense, texts, config, state):
        for step in wanted:
            if done < step <= report.step + 1:
                yield step, keep(step), text_T
        done = report.step + 1


def measure(config: TrainingConfig, state: Path, recipe: str) -> dict[str, Any]:
    """The document of OUT: recipe, n_texts, n_tokens, share, rows (step, layer, agreement, low, high, chance), note."""
    found = {step: (chosen, text_T) for step, chosen, text_T in trained(config, state)}
    for step in snapshot_steps(config.steps):
        if step not in found and (file := state / f"chosen-{step}.npy").is_file():
            found[step] = (np.load(file, allow_pickle=False), next(iter(found.values()))[1])
    end_TLE, text_T = found[max(found)]
    rows = [
        {"step": step, "layer": layer, **{name: round(value, 5) for name, value in entry.items()}}
        for step in sorted(found)
        for layer, entry in enumerate(agreement(found[step][0], end_TLE, text_T))
    ]
    n_texts, n_tokens = int(text_T.max()) + 1, len(text_T)
    return {"recipe": recipe, "steps": config.steps, "share": SHARE, "n_texts": n_texts, "n_tokens": n_tokens,
            "rows": rows, "note": SHORT_RUN}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--state", type=Path, default=Path("data/cache/training/saturation"))
    chosen = parser.parse_args()
    try:
        document = measure(load_config(chosen.config, TrainingConfig), chosen.state, chosen.config.name)
    except RouteLensError as error:
        sys.exit(str(error))
    chosen.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
