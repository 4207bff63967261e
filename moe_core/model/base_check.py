"""Reads an encoder folder to be split, plain or of sentence-transformers, and refuses what would change its answers."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from moe_core.errors import CheckpointError
from moe_core.model.base import load_base
from moe_core.model.base_tokenizer import base_tokenizer, lower_cases
from moe_core.model.base_weights import weight_files
from moe_core.model.encoder import Encoder

MODULES = {"Transformer", "Pooling", "Normalize"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What is split: dense (frozen, float32), its tokenizer, one hash of its weights, and remarks for the user."""

    name: str
    dense: Encoder
    tokenizer: Tokenizer
    weights_sha256: str
    notes: tuple[str, ...]


def read_base(folder: Path) -> Base:
    """Raises CheckpointError with one sentence for everything that cannot be split without changing its answers."""
    if not folder.is_dir():
        raise CheckpointError(f"There is no folder {folder}: give the folder of a BERT encoder.")
    modules = _modules(folder)
    transformer = next((path for kind, path in modules if kind == "Transformer"), folder)
    notes = [*_pooling(folder, modules)]
    dense = load_base(transformer).requires_grad_(False)
    tokenizer, remarks = base_tokenizer(transformer, dense.config.vocab_size)
    options = _object(transformer / "sentence_bert_config.json")
    if options.get("do_lower_case") and not lower_cases(tokenizer):
        raise CheckpointError(
            f"{transformer / 'sentence_bert_config.json'} lower-cases texts before the tokenizer does: set the "
            "tokenizer to lower-case instead."
        )
    digest = hashlib.sha256()
    for path in weight_files(transformer):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return Base(
        name=folder.resolve().name,
        dense=dense,
        tokenizer=tokenizer,
        weights_sha256=digest.hexdigest(),
        notes=(*notes, *remarks),
    )


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """(kind, folder) of every module of a sentence-transformers folder; empty for a plain encoder."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = [(str(entry["type"]).rpartition(".")[2], folder / str(entry["path"])) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a list of modules ({error!r}): restore the file.") from error
    for kind, place in found:
        if kind not in MODULES:
            raise CheckpointError(
                f"{path} ends in a module {kind}: only a transformer with mean pooling and normalisation is supported."
            )
        if not place.resolve().is_relative_to(folder.resolve()):
            raise CheckpointError(f"{path} names a folder outside of it: restore the file.")
    return found


def _pooling(folder: Path, modules: list[tuple[str, Path]]) -> list[str]:
    """Remarks on pooling. Raises CheckpointError unless it is the mean over all tokens."""
    kinds = [kind for kind, _ in modules]
    if modules and "Pooling" not in kinds:
        raise CheckpointError(f"{folder / 'modules.json'} has no pooling: only mean pooling is supported.")
    place = next((path for kind, path in modules if kind == "Pooling"), folder / "1_Pooling")
    if not modules and not (place / "config.json").is_file():
        return ["The folder does not say how token vectors become an embedding: the mean over all tokens is taken, and "
                "it is normalised to length 1."]  # fmt: skip
    config = _object(place / "config.json")
    if "pooling_mode" in config:
        modes = str(config["pooling_mode"]).split("+")
    else:
        chosen = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
        modes = [key.removeprefix("pooling_mode_") for key in chosen]
    if [mode.removesuffix("_tokens") for mode in modes] != ["mean"]:
        raise CheckpointError(
            f"{place / 'config.json'} asks for {' and '.join(modes) or 'no'} pooling: only mean pooling followed by "
            "normalisation is supported."
        )
    if modules and "Normalize" not in kinds:
        return [
            "The base does not normalise its embeddings, the model folder does: lengths are 1, directions as before."
        ]
    return []


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is no file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): restore the file.") from error
    return value if isinstance(value, dict) else {}
