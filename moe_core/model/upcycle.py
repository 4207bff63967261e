"""From an encoder of the user's own to an adaptive model folder: settings, resumable state, distillation, the folder.

Upcycling here *splits* the feed-forward blocks into experts, so the model keeps its number of weights and runs a part
of them. (Sparse upcycling in the literature copies the block into every expert: more weights, not less compute.)
"""

import dataclasses
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from moe_core.config import from_mapping, load_config
from moe_core.errors import CheckpointError, ConfigError, InputError
from moe_core.model.base_check import Base
from moe_core.model.pipeline import calibrate_texts, dial_report, distil, write_folder
from moe_core.model.text_batches import BatchConfig, TokenizedTexts
from moe_core.model.training import ObjectiveConfig, TrainingConfig
from moe_core.model.upcycle_texts import TextShares
from moe_core.records import StepReport

DEFAULT_STEPS = 300
MOST_EXPERTS = 256
STATE, RUN = "state.safetensors", "run.json"
OBJECTIVE = ObjectiveConfig(tau_top=0.4, tau_power=1.3, concentration=0.4, gate_gradient=True, lost_expert=0.12)


def upcycle_config(
    base: Base, path: Path | None = None, *, steps: int | None = None, n_experts: int | None = None
) -> tuple[TrainingConfig, list[str]]:
    """(settings that fit the encoder, remarks): defaults, then the TOML file, then `steps` and `n_experts`.

    Raises ConfigError or InputError for settings that cannot be used.
    """
    given: dict[str, Any] = {}
    if path is not None:
        load_config(path, TrainingConfig)
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    wanted_steps = steps if steps is not None else given.get("steps", DEFAULT_STEPS)
    if wanted_steps < 1:
        raise InputError(f"{wanted_steps} steps train nothing: give 1 or more.")
    default = TrainingConfig(
        corpus="",
        heldout="",
        router_hidden=max(8, min(32, base.dense.config.d_model // 12)),  # a router costs 1 or 2 % of its layer
        steps=wanted_steps,
        router_steps=min(150, max(20, wanted_steps // 2)),
        warm_up=max(1, min(100, wanted_steps // 10)),
        checkpoint_every=max(1, min(100, wanted_steps // 4)),
        objective=OBJECTIVE,
        batch=BatchConfig(max_tokens=min(96, base.dense.config.n_positions)),
    )
    config = from_mapping(_merged(dataclasses.asdict(default), given), TrainingConfig, where=str(path))
    return _fitted(dataclasses.replace(config, corpus="", heldout="", steps=wanted_steps), base, n_experts)


def _merged(default: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(default[key], value) if isinstance(value, dict) else value for key, value in given.items()}
    return default | both


def _fitted(config: TrainingConfig, base: Base, n_experts: int | None) -> tuple[TrainingConfig, list[str]]:
    sizes, notes = base.dense.config, []
    wanted = config.n_experts if n_experts is None else n_experts
    if not 2 <= wanted <= MOST_EXPERTS:
        raise InputError(f"{wanted} experts are out of range: give 2 to {MOST_EXPERTS}.")
    experts = max(e for e in range(1, wanted + 1) if sizes.d_hidden % e == 0)
    if experts < 2:
        raise InputError(
            f"The encoder's {sizes.d_hidden} feed-forward neurons do not divide into 2 to {wanted} equal experts: "
            "ask for more with --experts, or use an encoder of another intermediate_size."
        )
    if experts != wanted:
        notes.append(
            f"{sizes.d_hidden} neurons do not divide into {wanted} equal experts; {experts} experts of "
            f"{sizes.d_hidden // experts} neurons are made."
        )
    width = sizes.d_model // sizes.n_heads
    if not 0 <= config.qk_width < width:
        raise ConfigError(f"qk_width is {config.qk_width}; heads of this encoder are {width} wide: give 0 or less.")
    if config.rule != "adaptive":
        raise ConfigError(f"rule is {config.rule!r}; only 'adaptive' gives a model with a dial: leave it out.")
    limits = {"router_hidden": config.router_hidden, "router_steps": config.router_steps, "warm_up": config.warm_up,
              "checkpoint_every": config.checkpoint_every, "norms_every": config.objective.norms_every,
              "batch.tokens": config.batch.tokens}  # fmt: skip
    for name, value in limits.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; it must be 1 or more.")
    if config.batch.max_tokens < 3:
        raise ConfigError(f"batch.max_tokens is {config.batch.max_tokens}; texts need 3 or more.")
    for name, ramp in (("ramp", config.ramp), ("stored_ramp", config.stored_ramp)):
        if not 0 < ramp <= 1:
            raise ConfigError(f"{name} is {ramp:g}; it must lie above 0 and up to 1.")
    batch = dataclasses.replace(config.batch, max_tokens=min(config.batch.max_tokens, sizes.n_positions))
    return dataclasses.replace(config, n_experts=experts, batch=batch), notes


def check_out(out: Path, base_folder: Path, state_dir: Path) -> None:
    """Raises InputError unless `out` can be made: nothing that exists is overwritten, and the base stays as it is."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not empty: give a new folder.")
    if out.resolve().is_relative_to(base_folder.resolve()):
        raise InputError(f"--out {out} lies inside the base folder: give a folder elsewhere.")
    if state_dir.resolve().is_relative_to(out.resolve()) or state_dir.is_file():
        raise InputError(f"--state {state_dir} is a file or lies in --out: give a folder elsewhere.")


def upcycle(
    base: Base,
    texts: TextShares,
    config: TrainingConfig,
    out: Path,
    state_dir: Path,
    finish: Callable[[Path], object],
) -> Iterator[StepReport]:
    """Distils, writes and calibrates; `out` appears complete or not at all. `finish` writes what else belongs into the
    folder (its card). Goes on from `state_dir` if that holds a state of the same base, texts and settings.

    Yields step reports, last of all the calibrated points. Raises InputError or CheckpointError at once for a state
    that does not fit, CheckpointError and OSError on the way.
    """
    claim_state(state_dir, base, texts, config)
    return _run(base, texts, config, out.resolve(), state_dir, finish)


def _run(
    base: Base,
    texts: TextShares,
    config: TrainingConfig,
    out: Path,
    state_dir: Path,
    finish: Callable[[Path], object],
) -> Iterator[StepReport]:
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        torch.manual_seed(config.seed)
        student = yield from distil(base.dense, texts.train, config, state_dir)
        write_folder(part, student, base.dense, base.tokenizer.to_str(), config, _document(base, out.name))
        calibration = calibrate_texts(part, texts.heldout, texts.heldout_name)
        finish(part)
        os.replace(part, out)
    except SafetensorError as error:
        raise CheckpointError(f"{out} or {state_dir} cannot be written ({error}): check space and rights.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    yield dial_report(calibration, config.steps)


def _document(base: Base, name: str) -> dict[str, Any]:
    return {"name": name, "base": base.name, "base_weights_sha256": base.weights_sha256, "made_by": "routelens upcycle"}


def claim_state(folder: Path, base: Base, texts: TextShares, config: TrainingConfig) -> None:
    """Writes down whose state `folder` keeps. Raises InputError if it keeps another run's, CheckpointError if it is
    damaged."""
    run = {
        "base": base.weights_sha256,
        "texts": _fingerprint(texts.train),
        "held-out texts": _fingerprint(texts.heldout),
        "settings": dataclasses.asdict(config),
    }
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / STATE).is_file():
        try:
            earlier = json.loads((folder / RUN).read_text(encoding="utf-8"))
            changed = [key for key, value in run.items() if earlier.get(key) != value]
        except (OSError, ValueError, AttributeError):
            changed = ["origin"]
        if changed:
            raise InputError(
                f"{folder} keeps the state of another run (different {' and '.join(changed)}): give another --state, "
                "or remove that folder to start again."
            )
        try:
            with safe_open(folder / STATE, framework="pt") as state:
                state.keys()
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{folder / STATE} is damaged ({error}): remove it to start again.") from error
    (folder / RUN).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _fingerprint(texts: TokenizedTexts) -> str:
    digest = hashlib.sha256(texts.ids.tobytes() + texts.offsets_N1.tobytes() + texts.domain_N.tobytes())
    digest.update("\0".join(texts.domains).encode())
    return digest.hexdigest()
