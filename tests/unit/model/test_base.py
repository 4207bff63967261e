"""Reading an encoder folder: what is read answers like a BERT written out by hand, what cannot be is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from moe_core.errors import CheckpointError
from moe_core.model.base_check import read_base
from moe_core.model.encoder import Encoder, pack, pool
from moe_core.model.pipeline import check_split
from moe_core.model.split import split_into_experts
from tests.unit.toy_encoder import CONFIG, toy_encoder, toy_tokenizer

IDS = [2, 7, 9, 11, 30, 8, 3]


def bert_by_hand(weights: dict[str, Tensor], config: dict[str, Any], ids: list[int]) -> Tensor:
    """Mean-pooled, normalised embedding of one text, from the tensors and the published formulas alone."""
    d, n_heads, eps = config["hidden_size"], config["num_attention_heads"], config["layer_norm_eps"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        scaled = centred / torch.sqrt(centred.pow(2).mean(dim=-1, keepdim=True) + eps)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        q, k, v = (
            linear(x, f"{name}.attention.self.{part}").view(len(ids), n_heads, d // n_heads).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        seen = torch.softmax(q @ k.transpose(1, 2) / (d // n_heads) ** 0.5, dim=-1) @ v
        mixed = linear(seen.transpose(0, 1).reshape(len(ids), d), f"{name}.attention.output.dense")
        x = norm(x + mixed, f"{name}.attention.output.LayerNorm")
        inner = linear(x, f"{name}.intermediate.dense")
        gelu = 0.5 * inner * (1 + torch.erf(inner / 2**0.5))
        x = norm(x + linear(gelu, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    pooled = x.mean(dim=0)
    return pooled / pooled.norm()


def embedding(encoder: Encoder, ids: list[int]) -> Tensor:
    with torch.inference_mode():
        packed = pack([ids])
        return pool(encoder(packed)[0], packed)[0]


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"hidden_size": 32, "num_attention_heads": 1, "intermediate_size": 100, "num_hidden_layers": 1},
        {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 3, "type_vocab_size": 1},
        {"hidden_act": "gelu_python", "layer_norm_eps": 1e-5, "vocab_size": 70_000},
    ],
)
def test_an_encoder_answers_as_bert_written_by_hand(tmp_path: Path, sizes: dict[str, Any]) -> None:
    """Several shapes: the dense original and the split with all experts on agree with the formulas within 1e-5."""
    weights = toy_encoder(tmp_path, **sizes)
    expected = bert_by_hand(weights, CONFIG | sizes, IDS)
    dense = read_base(tmp_path).dense
    torch.testing.assert_close(embedding(dense, IDS), expected, atol=1e-5, rtol=0)
    split = split_into_experts(dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    torch.testing.assert_close(embedding(split, IDS), expected, atol=1e-5, rtol=0)


def rename(folder: Path, change: Callable[[str], str]) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({change(name): value for name, value in weights.items()}, folder / "model.safetensors")


def shard(folder: Path) -> None:
    """Two files and an index, as large checkpoints have."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    halves = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: weights[name] for name in part}, folder / file)
    places = {name: file for file, part in halves.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "model.safetensors").unlink()


def without_pooler(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "pooler" not in k}, folder / "model.safetensors")


@pytest.mark.parametrize(
    "dress",
    [
        lambda folder: rename(folder, lambda name: f"bert.{name}"),
        lambda folder: rename(
            folder,
            lambda n: n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        ),
        shard,
        without_pooler,
    ],
    ids=["prefix", "gamma and beta", "shards", "no pooler"],
)
def test_the_dress_of_the_weights_does_not_matter(tmp_path: Path, dress: Callable[[Path], None]) -> None:
    """A prefix, old names, shards, a missing pooler: the same encoder."""
    weights = toy_encoder(tmp_path)
    dress(tmp_path)
    expected = bert_by_hand(weights, CONFIG, IDS)
    torch.testing.assert_close(embedding(read_base(tmp_path).dense, IDS), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_read_as_they_are(tmp_path: Path, dtype: torch.dtype) -> None:
    """The values of the file, computed in float32."""
    weights = {name: value.to(dtype) for name, value in toy_encoder(tmp_path).items()}
    save_file(weights, tmp_path / "model.safetensors")
    expected = bert_by_hand({name: value.float() for name, value in weights.items()}, CONFIG, IDS)
    torch.testing.assert_close(embedding(read_base(tmp_path).dense, IDS), expected, atol=1e-5, rtol=0)


def configure(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    kept = {key: value for key, value in (config | changes).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def change_tensor(folder: Path, name: str, change: Callable[[Tensor], Tensor]) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[name] = change(weights[name])
    save_file(weights, folder / "model.safetensors")


def drop_tensor(folder: Path, name: str) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[name]
    save_file(weights, folder / "model.safetensors")


def add_tensor(folder: Path, name: str) -> None:
    save_file(load_file(folder / "model.safetensors") | {name: torch.zeros(3)}, folder / "model.safetensors")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def missing_shard(folder: Path) -> None:
    shard(folder)
    (folder / "model-2-of-2.safetensors").unlink()


def pooled(folder: Path, *kinds: str, **modes: bool) -> None:
    """A sentence-transformers folder with these modules."""
    modules = [
        {
            "idx": i,
            "path": "" if kind == "Transformer" else f"{i}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    config = {"word_embedding_dimension": 16, **{f"pooling_mode_{mode}": on for mode, on in modes.items()}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))


WORD = "embeddings.word_embeddings.weight"
QUERY = "encoder.layer.1.attention.self.query.weight"
REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another family": (lambda f: configure(f, model_type="roberta"), "model_type 'roberta'"),
    "no family": (lambda f: configure(f, model_type=None), "model_type None"),
    "tanh gelu": (lambda f: configure(f, hidden_act="gelu_new"), "hidden_act 'gelu_new': only 'gelu'"),
    "relu": (lambda f: configure(f, hidden_act="relu"), "hidden_act 'relu'"),
    "relative positions": (lambda f: configure(f, position_embedding_type="relative_key"), "only 'absolute'"),
    "a decoder": (lambda f: configure(f, is_decoder=True), "is_decoder"),
    "a missing size": (lambda f: configure(f, hidden_size=None), "hidden_size None: it must be a whole number"),
    "a wrong size": (lambda f: configure(f, num_hidden_layers="two"), "num_hidden_layers 'two'"),
    "heads that do not divide": (lambda f: configure(f, num_attention_heads=3), "does not divide by"),
    "more layers than weights": (lambda f: configure(f, num_hidden_layers=3), r"encoder\.layer\.2.* is missing"),
    "fewer layers than weights": (lambda f: configure(f, num_hidden_layers=1), "not part of a BERT encoder of 1 layer"),
    "another width": (lambda f: configure(f, intermediate_size=64), r"shape \(32, 16\), config\.json says \(64, 16\)"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "no config": (lambda f: (f / "config.json").unlink(), "There is no .*config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no model.safetensors"),
    "pickles only": (pickled, "a pickle, which can run code.*safe_serialization"),
    "a pickle in disguise": (lambda f: (f / "model.safetensors").write_bytes(b"\x80."), "not a readable safetensors"),
    "a missing shard": (missing_shard, "names model-2-of-2.safetensors, no safetensors file there"),
    "NaN": (lambda f: change_tensor(f, QUERY, lambda w: w * float("nan")), "query.weight holds NaN or infinite"),
    "a huge value": (lambda f: change_tensor(f, QUERY, lambda w: w * 1e6), "more than can be kept"),
    "int8 weights": (lambda f: change_tensor(f, QUERY, lambda w: w.to(torch.int8)), "int8 numbers.*quantisation"),
    "a missing tensor": (lambda f: drop_tensor(f, QUERY), "query.weight is missing"),
    "no embeddings": (lambda f: drop_tensor(f, WORD), "must hold one encoder"),
    "a foreign tensor": (lambda f: add_tensor(f, "encoder.layer.0.adapter.weight"), "not part of a BERT encoder"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json.*save_pretrained"),
    "a broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), "is not a tokenizer"),
    "too many tokens": (
        lambda f: (configure(f, vocab_size=20), change_tensor(f, WORD, lambda w: w[:20].clone())),
        "do not belong together",
    ),
    "CLS pooling": (
        lambda f: pooled(f, "Transformer", "Pooling", "Normalize", cls_token=True, mean_tokens=False),
        "asks for cls_token pooling: only mean pooling",
    ),
    "two poolings": (
        lambda f: pooled(f, "Transformer", "Pooling", cls_token=True, mean_tokens=True), "only mean pooling"
    ),
    "a dense module": (
        lambda f: pooled(f, "Transformer", "Pooling", "Dense", mean_tokens=True), "a module Dense: only a transformer"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_would_change_the_answers_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    """What is wrong, where, and what to do."""
    spoil, words = REFUSALS[case]
    toy_encoder(tmp_path)
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=words) as refusal:
        read_base(tmp_path)
    assert "\n" not in str(refusal.value)


def test_mean_pooling_of_sentence_transformers_is_read(tmp_path: Path) -> None:
    """With normalisation nothing is to be said; without it a remark says that lengths become 1."""
    toy_encoder(tmp_path / "a")
    pooled(tmp_path / "a", "Transformer", "Pooling", "Normalize", mean_tokens=True, cls_token=False)
    assert read_base(tmp_path / "a").notes == ()
    toy_encoder(tmp_path / "b")
    pooled(tmp_path / "b", "Transformer", "Pooling", mean_tokens=True)
    assert "lengths are 1" in read_base(tmp_path / "b").notes[0]
    toy_encoder(tmp_path / "c")
    assert "the mean over all tokens is taken" in read_base(tmp_path / "c").notes[0]


def test_the_transformer_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """As modules.json says; a path out of the folder is refused."""
    weights = toy_encoder(tmp_path / "0_Transformer")
    pooled(tmp_path, "Transformer", "Pooling", "Normalize", mean_tokens=True)
    modules = json.loads((tmp_path / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    expected = bert_by_hand(weights, CONFIG, IDS)
    torch.testing.assert_close(embedding(read_base(tmp_path).dense, IDS), expected, atol=1e-5, rtol=0)
    modules[0]["path"] = "../elsewhere"
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match="names a folder outside"):
        read_base(tmp_path)


def test_a_tokenizer_without_marks_is_used_as_it_is_and_remarked(tmp_path: Path) -> None:
    """No [CLS] and [SEP] are put around texts that the folder's own tokenizer gives without them."""
    toy_encoder(tmp_path, template=False)
    base = read_base(tmp_path)
    assert len(base.tokenizer.encode("the parcel").ids) == 2
    assert any("no [CLS] and [SEP]" in note for note in base.notes)


def test_a_vocabulary_file_becomes_a_tokenizer(tmp_path: Path) -> None:
    """vocab.txt alone gives the ids of the tokenizer.json that it stands for; capitals in it are respected."""
    toy_encoder(tmp_path)
    pieces = sorted(toy_tokenizer().get_vocab().items(), key=lambda item: item[1])
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf-8")
    base = read_base(tmp_path)
    assert base.tokenizer.encode("The PARCEL, never").ids == toy_tokenizer().encode("The PARCEL, never").ids
    assert any("lower-casing" in note for note in base.notes)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert read_base(tmp_path).tokenizer.encode("The").ids == [2, 1, 3]
    (tmp_path / "vocab.txt").write_text("the\nparcel\n")
    with pytest.raises(CheckpointError, match=r"lacks \[UNK\] and \[CLS\] and \[SEP\]"):
        read_base(tmp_path)


def test_a_split_that_is_not_the_original_is_refused(tmp_path: Path) -> None:
    """One weight moved after the split: the check at run time says so."""
    toy_encoder(tmp_path)
    dense = read_base(tmp_path).dense
    split = split_into_experts(dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0).requires_grad_(False)
    assert check_split(split, dense, [IDS]) < 1e-5
    split.layers[1].ffn.b2_D[0] += 0.5
    with pytest.raises(CheckpointError, match=r"differ by .* from the dense original"):
        check_split(split, dense, [IDS])
