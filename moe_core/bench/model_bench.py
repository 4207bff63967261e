"""`routelens bench model`: every contender in every regime with every number of threads, in one process."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_core.bench import quality
from moe_core.bench.counting import Count, count
from moe_core.bench.machine import (
    WATTS_PER_CORE,
    EnergyCounter,
    describe_energy,
    load_average,
    machine,
    peak_rss_mb,
)
from moe_core.bench.quality import Quality
from moe_core.bench.timing import Samples, interleave
from moe_core.bench.variants import Variant, full_list, quick_list, rival
from moe_core.bench.workload import REGIMES, Batch, Regime, Workload, load_workload
from moe_core.errors import InputError
from moe_core.model.folder import REFERENCE_FOLDER
from moe_core.model.reference import RoutedModel, load_model

SEED = 7
SAME_PRECISION = {"bfloat16": "dense-bf16"}


@dataclass(frozen=True, slots=True)
class Effort:
    """Repetitions and contenders (None: all) of one regime. `seconds`: after `at_least` repetitions the timing with one
    number of threads may end early. counted: texts (single) or batches for counting; most_texts of each such batch."""

    repetitions: int
    at_least: int
    seconds: float
    only: tuple[str, ...] | None = None
    counted: int = 40
    most_texts: int = 256


FEW = ("dense", "dense-aa", "adaptive@0.25")
QUICK: dict[Regime, Effort] = {
    "one": Effort(150, 150, 0.0, None, 12),
    "one-long": Effort(40, 10, 1.2, FEW, 4),
    "batch32": Effort(8, 2, 1.2, FEW, 1, 16),
    "batch256": Effort(4, 2, 4.0, (FEW[0], FEW[2]), 1, 32),
}
FULL: dict[Regime, Effort] = {
    "one": Effort(1000, 1000, 0.0, None, 115),
    "one-long": Effort(200, 40, 60.0, None, 40),
    "batch32": Effort(30, 8, 75.0, None, 4),
    "batch256": Effort(11, 3, 150.0, None, 1),
}
QUALITY_TEXTS = {True: 48, False: 2000}


def bench_model(
    folder: Path | None = None, *, quick: bool = False, threads: Sequence[int] = (1, 2), compare: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """The document: `rows` and how they were measured. Leaves the number of threads as it was.

    Raises InputError for a number of threads below 1 or above the cores, a bad rival, or missing texts.
    """
    check_threads(threads)
    model = load_model(folder)
    work = load_workload(model.tokenizer)
    started, loads = time.perf_counter(), [load_average()]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(max(threads))
        variants = quick_list(model) if quick else full_list(model, work.token_ids[:96])
        variants += [rival(text) for text in compare]
        _check_names(variants)
        say(f"{len(variants)} variants; measuring quality and counting products")
        qualities = _qualities(model, variants, work, folder or REFERENCE_FOLDER, QUALITY_TEXTS[quick])
        rows = _rows(model, variants, work, qualities, QUICK if quick else FULL, threads, say, started)
    finally:
        torch.set_num_threads(before)
    loads.append(load_average())
    return {
        "bench": "model",
        "quick": quick,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1),
        "model": model.name,
        "model_sha256": model.sha256,
        "machine": machine(),
        "load_average": {"start": loads[0], "end": loads[1]},
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "energy": describe_energy(EnergyCounter()),
        "timed": "packing, encoder and pooling; tokenizing and heads cost the same in every variant and are left out",
        "order": f"all variants in every repetition, in random order (seed {SEED})",
        "rows": rows,
    }


def check_threads(threads: Sequence[int]) -> None:
    cores = os.cpu_count() or 1
    for number in threads:
        if not 1 <= number <= cores:
            raise InputError(f"--threads {number}: give numbers from 1 to {cores}, the cores of this machine.")
    if not threads or len(set(threads)) != len(threads):
        raise InputError("--threads must name each number once, as in 1,2.")


def _check_names(variants: Sequence[Variant]) -> None:
    names = [variant.name for variant in variants]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two variants are called {name!r}: rename the folder given with --compare.")


def _qualities(
    model: RoutedModel, variants: Sequence[Variant], work: Workload, folder: Path, most: int
) -> dict[str, Quality]:
    document = quality.read_evaluation(folder, model.sha256)
    known = {} if document is None else {v.name: quality.evaluated(document, v) for v in variants}
    found = {name: value for name, value in known.items() if value is not None}
    missing = [v for v in variants if v.name not in found]
    return {**quality.measured(model, missing, work, most), **found} if missing else found


def _rows(
    model: RoutedModel, variants: Sequence[Variant], work: Workload, qualities: dict[str, Quality],
    efforts: dict[Regime, Effort], threads: Sequence[int], say: Callable[[str], None], started: float,
) -> list[dict[str, Any]]:  # fmt: skip
    energy = EnergyCounter()
    rows = []
    for regime in REGIMES:
        effort = efforts[regime]
        chosen = [v for v in variants if effort.only is None or v.name in effort.only]
        batches = work.batches[regime]
        torch.set_num_threads(threads[0])
        counts = {v.name: count(v, _spread(batches, effort), model.dense.config) for v in chosen}
        for number in threads:
            torch.set_num_threads(number)
            for variant in chosen:
                for batch in _warm_up(batches):
                    variant.embed(batch)
            samples = interleave(
                {variant.name: variant.embed for variant in chosen}, batches, repetitions=effort.repetitions,
                seed=SEED, at_least=effort.at_least, stop_at=time.perf_counter() + effort.seconds,
                energy=energy if energy.available else None,
            )  # fmt: skip
            rows += [_row(v, regime, number, samples, counts[v.name], qualities[v.name]) for v in chosen]
            repetitions = len(samples["dense"].wall_s)
            say(f"{regime}, {number} threads: {repetitions} repetitions, {time.perf_counter() - started:.0f} s so far")
    return rows


def _spread(batches: Sequence[Batch], effort: Effort) -> list[Batch]:
    """Batches to count, from the whole list."""
    return [batch[: effort.most_texts] for batch in batches[:: -(-len(batches) // effort.counted)]]


def _warm_up(batches: Sequence[Batch]) -> Iterable[Batch]:
    """One batch of every shape among single texts, since the first product of a shape is planned; else one batch."""
    if len(batches[0]) > 1:
        return [batches[0][:32]]
    return {len(batch[0]): batch for batch in batches}.values()


def _row(
    variant: Variant, regime: Regime, threads: int, samples: dict[str, Samples], counted: Count, quality_of: Quality
) -> dict[str, Any]:
    own, base = samples[variant.name], samples["dense"]
    same = SAME_PRECISION.get(variant.precision)
    joules = sum(own.energy_j) if own.energy_j else WATTS_PER_CORE * sum(own.cpu_s)
    return {
        "variant": variant.name,
        "regime": regime,
        "threads": threads,
        "baseline": "dense",
        **_ratios(own, base),
        "ratio_flops_encoder": counted.encoder / counted.dense,
        "ratio_flops_expert": counted.expert / counted.dense_ffn,
        "ratio_flops_executed": counted.executed / counted.dense,
        "active_fraction": counted.active,
        "quality_delta_points": quality_of.points,
        "quality_low": quality_of.low,
        "quality_high": quality_of.high,
        "quality_n": quality_of.n,
        "quality_source": quality_of.source,
        "wall_p50_ms": own.wall_ms(0.5),
        "wall_p95_ms": own.wall_ms(0.95),
        "wall_p99_ms": own.wall_ms(0.99),
        "tokens_per_s": own.tokens / sum(own.wall_s),
        "flops_per_token": counted.encoder / counted.tokens,
        "joules_per_1000_tokens": 1000 * joules / own.tokens,
        "repetitions": len(own.wall_s),
        "precision": variant.precision,
        "weights": variant.weights,
        "same_precision": None if same is None or same not in samples
        else {"baseline": same, **_ratios(own, samples[same])},
    }  # fmt: skip


def _ratios(own: Samples, base: Samples) -> dict[str, float]:
    """Quantile over quantile; `ratio_wall_paired`: median over repetitions of the ratio on the same batch."""
    paired = np.median(np.array(own.wall_s) / np.array(base.wall_s))
    return {
        "ratio_wall_p50": own.wall_ms(0.5) / base.wall_ms(0.5),
        "ratio_wall_p99": own.wall_ms(0.99) / base.wall_ms(0.99),
        "ratio_wall_paired": float(paired),
    }
