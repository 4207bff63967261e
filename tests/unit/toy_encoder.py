"""Encoder folders as a user would have them: random BERT weights, config.json, tokenizer.json."""

import json
import random
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

WORDS = [
    "the", "a", "my", "parcel", "letter", "invoice", "order", "never", "arrived", "late", "broken", "again", "nobody",
    "answers", "phone", "please", "refund", "money", "good", "bad", "great", "awful", "slow", "quick", "box", "blue",
    "red", "door", "window", "garden", "train", "ticket", "seat", "city", "river", "bridge", "music", "song", "film",
]  # fmt: skip
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIG = {
    "model_type": "bert", "hidden_act": "gelu", "vocab_size": 80, "max_position_embeddings": 32, "hidden_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
}  # fmt: skip


def toy_weights(config: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """All tensors of a BertModel with this config, pooler included."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 0.3) -> Tensor:
        return scale * torch.randn(*shape, generator=generator)

    d, h = config["hidden_size"], config["intermediate_size"]
    weights = {
        "embeddings.word_embeddings.weight": normal(config["vocab_size"], d),
        "embeddings.position_embeddings.weight": normal(config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": normal(config["type_vocab_size"], d),
        "pooler.dense.weight": normal(d, d),
        "pooler.dense.bias": normal(d),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
        shapes = {f"attention.self.{name}": (d, d) for name in ("query", "key", "value")}
        shapes |= {"attention.output.dense": (d, d), "intermediate.dense": (h, d), "output.dense": (d, h)}
        for name, shape in shapes.items():
            weights[f"{prefix}{name}.weight"] = normal(*shape, scale=1.5 * shape[1] ** -0.5)
            weights[f"{prefix}{name}.bias"] = normal(shape[0], scale=0.1)
    for name in norms:
        weights |= {f"{name}.weight": 1 + normal(d, scale=0.1), f"{name}.bias": normal(d, scale=0.1)}
    return weights


def toy_tokenizer(*, template: bool = True) -> Tokenizer:
    """Lower-casing WordPiece of whole words, with [CLS] and [SEP] around a text unless `template` is False."""
    vocabulary = {piece: number for number, piece in enumerate([*MARKS, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return tokenizer


def toy_encoder(folder: Path, *, seed: int = 0, template: bool = True, **config: Any) -> dict[str, Tensor]:
    """Writes the folder and returns its weights; `config` overrides keys of CONFIG."""
    folder.mkdir(parents=True, exist_ok=True)
    full = CONFIG | config
    weights = toy_weights(full, seed)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(full))
    toy_tokenizer(template=template).save(str(folder / "tokenizer.json"))
    return weights


def toy_texts(n: int, seed: int = 0) -> list[str]:
    """`n` different texts of 3 to 14 known words."""
    rng = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < n:
        texts[" ".join(rng.choices(WORDS, k=rng.randint(3, 14)))] = None
    return list(texts)
