"""The tensors of a BERT-family encoder folder by their plain names: safetensors, one file or shards, no pickles."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from moe_core.errors import CheckpointError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("*.bin", "*.bin.index.json", "*.pt", "*.pth", "*.ckpt", "*.pkl")
ANCHOR = "embeddings.word_embeddings.weight"
PARTS = ("embeddings.", "encoder.")  # the pooler and heads beside them are not used
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
LARGEST = 60_000.0  # float16, in which the original is kept with a remainder, ends at 65,504


def read_weights(folder: Path) -> dict[str, Tensor]:
    """float32 tensors of the encoder, named as in Hugging Face's BertModel, without a prefix such as `bert.`.

    Raises CheckpointError for pickles, missing or broken files, other types of number, and values that are not finite.
    """
    stored: dict[str, Tensor] = {}
    for path in weight_files(folder):
        stored |= _load(path)
    anchors = [name for name in stored if name.endswith(ANCHOR)]
    if len(anchors) != 1:
        found = "none" if not anchors else " and ".join(sorted(anchors)[:2])
        raise CheckpointError(
            f"{folder} must hold one encoder with a tensor {ANCHOR}, found {found}: give the folder of a BERT encoder."
        )
    prefix = anchors[0].removesuffix(ANCHOR)
    weights: dict[str, Tensor] = {}
    for name, value in stored.items():
        plain = name.removeprefix(prefix)
        if name.startswith(prefix) and plain.startswith(PARTS) and plain not in BUFFERS:
            weights[_modern(plain)] = _checked(name, value, folder)
    return weights


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, shards in the order of their names."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise CheckpointError(
                f"{folder} holds its weights in {pickles[0]}, a pickle, which can run code when loaded: save them as "
                f"{WEIGHTS} first (in Transformers: `save_pretrained(DIR, safe_serialization=True)`)."
            )
        raise CheckpointError(f"{folder} holds no {WEIGHTS}; only safetensors weights are loaded: add the file.")
    try:
        shards = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        paths = [folder / str(name) for name in sorted(shards)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / INDEX} is not an index of weights ({error}): restore the file.") from error
    for path in paths:
        if path.parent != folder or path.suffix != ".safetensors" or not path.is_file():
            raise CheckpointError(f"{folder / INDEX} names {path.name}, no safetensors file there: restore it.")
    if not paths:
        raise CheckpointError(f"{folder / INDEX} names no file: restore it.")
    return paths


def _load(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error}): download it again.") from error
    return tensors


def _modern(name: str) -> str:
    """Checkpoints converted from the first release call a LayerNorm's weight gamma and its bias beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _checked(name: str, value: Tensor, folder: Path) -> Tensor:
    if value.dtype not in FLOATS:
        kind = str(value.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{folder}: tensor {name} holds {kind} numbers; float32, float16 and bfloat16 are read: "
            "give the encoder before its quantisation."
        )
    wide = value.float()
    if not bool(torch.isfinite(wide).all()):
        raise CheckpointError(f"{folder}: tensor {name} holds NaN or infinite values: give sound weights.")
    if float(wide.abs().max() if wide.numel() else 0.0) > LARGEST:
        raise CheckpointError(f"{folder}: tensor {name} holds a value above {LARGEST:,.0f}, more than can be kept.")
    return wide
