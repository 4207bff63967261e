"""The model folder: writes it, and loads it from safetensors and JSON only.

dense.safetensors   the original, 24 bits a weight; also the embeddings that both share
model.safetensors   the adapted weights as differences to it, routers, mean outputs, threshold offsets
config.json         sizes, base, tokens; calibration.json: the dial; heads/: classifiers; tokenizer.json
"""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from moe_core.errors import CheckpointError
from moe_core.model.ablation_file import ABLATION
from moe_core.model.compression import pack24, pack_delta, unpack24, unpack_delta
from moe_core.model.encoder import Encoder, EncoderConfig
from moe_core.model.narrow import narrowed

FORMAT_VERSION = 1
PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"}
MEASUREMENTS = "evaluation.json"  # what was measured on the model
OBSERVED = (MEASUREMENTS, ABLATION, "saturation.json")  # on the model or on its training: they decide no answer
SMALL = 4096  # tensors below this many values are stored as they are


def save_dense(folder: Path, dense: Encoder) -> None:
    """Writes dense.safetensors: every tensor of the original."""
    tensors: dict[str, Tensor] = {}
    for name, value in dense.state_dict().items():
        if value.numel() < SMALL:
            tensors[name] = value.contiguous()
        else:
            tensors[name], tensors[f"{name}.low"] = pack24(value)
    save_file(tensors, folder / "dense.safetensors")


def save_adapted(folder: Path, student: Encoder, dense: Encoder, orders_LH: list[Tensor]) -> None:
    """Writes model.safetensors. `orders_LH`: for each layer, the original's neurons sorted by expert."""
    state = student.state_dict()
    original = narrowed_original(dense.state_dict(), state, student.config)
    tensors: dict[str, Tensor] = {}
    for layer, order_H in enumerate(orders_LH):
        tensors[f"layers.{layer}.neuron_order"] = order_H.to(torch.int32)
    for name, value in state.items():
        if name.startswith("embeddings."):
            continue
        if name.endswith("_map_AKW"):
            tensors[name] = value.half()
        elif name in original and value.dim() > 1 and value.numel() >= SMALL:
            base = reordered(name, original[name], orders_LH)
            tensors[f"{name}.delta"], tensors[f"{name}.scale"] = pack_delta(value, base)
        else:
            tensors[name] = value.contiguous()
    save_file(tensors, folder / "model.safetensors")


def narrowed_original(original: dict[str, Tensor], maps: dict[str, Tensor], sizes: EncoderConfig) -> dict[str, Tensor]:
    """The original's tensors with the query and key maps among `maps` applied, to which differences are stored."""
    if not sizes.qk_width:
        return original
    result = dict(original)
    for layer in range(sizes.n_layers):
        name = f"layers.{layer}.attention."
        query_map_AKW, key_map_AKW = (maps[f"{name}{kind}_map_AKW"].float() for kind in ("query", "key"))
        result[f"{name}qkv.weight"], result[f"{name}qkv.bias"] = narrowed(
            original[f"{name}qkv.weight"], original[f"{name}qkv.bias"], query_map_AKW, key_map_AKW
        )
    return result


def reordered(name: str, value: Tensor, orders_LH: list[Tensor]) -> Tensor:
    """The original's tensor with its feed-forward neurons in the experts' order."""
    parts = name.split(".")
    if parts[0] == "layers" and parts[-1] in ("w1_HD", "b1_H", "w2_HD"):
        return value[orders_LH[int(parts[1])].long()]
    return value


def save_config(folder: Path, config: EncoderConfig, extra: dict[str, Any]) -> None:
    document = {"format": FORMAT_VERSION, "encoder": dataclasses.asdict(config), **extra}
    (folder / "config.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a model folder. Raises CheckpointError if it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: point --model at a folder written by `routelens train`.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): restore the file.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object: restore the file.")
    return value


def check_folder(folder: Path) -> None:
    """Refuses what is not a model folder, and folders with files that could run code when loaded."""
    if not folder.is_dir():
        raise CheckpointError(f"There is no model folder {folder}: give --model a folder written by `routelens train`.")
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICKLE_SUFFIXES:
            raise CheckpointError(
                f"{path} may hold a pickle, which can run code when loaded; RouteLens loads only safetensors "
                "and JSON: remove the file from the model folder."
            )


def load_encoders(folder: Path) -> tuple[Encoder, Encoder, dict[str, Any]]:
    """(adapted, dense, config) of a model folder. Raises CheckpointError with one sentence if anything is off."""
    check_folder(folder)
    config = read_json(folder / "config.json")
    if config.get("format") != FORMAT_VERSION:
        raise CheckpointError(
            f"{folder / 'config.json'} has format {config.get('format')!r}, this version reads "
            f"{FORMAT_VERSION}: update RouteLens or train the model again."
        )
    try:
        sizes = EncoderConfig(**config["encoder"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / 'config.json'} does not describe an encoder ({error}).") from error
    positive = min(sizes.n_layers, sizes.d_model, sizes.n_heads, sizes.n_experts) > 0 <= sizes.qk_width
    if not positive or sizes.d_hidden % sizes.n_experts or sizes.d_model % sizes.n_heads:
        raise CheckpointError(f"{folder / 'config.json'} has impossible sizes: restore the file.")
    dense = dataclasses.replace(sizes, n_experts=0, qk_width=0).build()
    stored = _read_tensors(folder / "dense.safetensors")
    original = {
        name: unpack24(value, stored[f"{name}.low"]) if f"{name}.low" in stored else value
        for name, value in stored.items()
        if not name.endswith(".low")
    }
    _load_state(dense, original, folder / "dense.safetensors")
    student = sizes.build()
    student.embeddings = dense.embeddings
    adapted = _adapted_state(_read_tensors(folder / "model.safetensors"), original, sizes, folder)
    _load_state(student, adapted, folder / "model.safetensors")
    return student.eval().requires_grad_(False), dense.eval().requires_grad_(False), config


def _adapted_state(
    stored: dict[str, Tensor], original: dict[str, Tensor], sizes: EncoderConfig, folder: Path
) -> dict[str, Tensor]:
    state = {name: value for name, value in original.items() if name.startswith("embeddings.")}
    try:
        original = narrowed_original(original, stored, sizes)
        orders_LH = [stored[f"layers.{layer}.neuron_order"] for layer in range(sizes.n_layers)]
        for name, value in stored.items():
            if name.endswith(".delta"):
                base = name.removesuffix(".delta")
                state[base] = unpack_delta(reordered(base, original[base], orders_LH), value, stored[f"{base}.scale"])
            elif not name.endswith((".scale", ".neuron_order")):
                state[name] = value.float() if name.endswith("_map_AKW") else value
    except (KeyError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"{folder / 'model.safetensors'} does not fit its dense original: {error}.") from error
    return state


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing: restore the model folder.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}): restore it.") from error
    for name, value in tensors.items():
        if value.is_floating_point() and not math.isfinite(float(value.float().sum())):
            raise CheckpointError(f"{path}: tensor {name} holds NaN or infinite values: restore the file.")
    return tensors


def _load_state(module: Encoder, state: dict[str, Tensor], path: Path) -> None:
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    for name, shape in expected.items():
        if name not in state:
            raise CheckpointError(f"{path}: tensor {name} is missing: restore the file.")
        if tuple(state[name].shape) != shape:
            raise CheckpointError(f"{path}: tensor {name} has shape {tuple(state[name].shape)}, expected {shape}.")
    module.load_state_dict({name: state[name] for name in expected}, assign=True)


def folder_sha256(folder: Path) -> str:
    """One hash of everything that decides an answer: weights, sizes, tokenizer, calibration and heads."""
    digest = hashlib.sha256()
    kinds = (".safetensors", ".json")
    for path in sorted(p for p in folder.rglob("*") if p.suffix in kinds and p.name not in OBSERVED):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
