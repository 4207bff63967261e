"""The model folder: what is written comes back, and what could harm is refused in one sentence."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from moe_core.errors import CheckpointError
from moe_core.model import checkpoint
from moe_core.model.compression import pack24, pack_delta, unpack24, unpack_delta
from moe_core.model.encoder import Encoder, pack
from moe_core.model.split import expert_layers, neuron_order


@pytest.fixture
def folder(tmp_path: Path, tiny_dense: Encoder, tiny_sparse: Encoder) -> Path:
    """A tiny model folder (weights, sizes)."""
    orders = [neuron_order(layer.ffn, 4, seed=index) for index, layer in enumerate(tiny_dense.layers)]
    for block in expert_layers(tiny_sparse):
        block.w1_HD += 0.01 * torch.randn(block.w1_HD.shape, generator=torch.Generator().manual_seed(1))
    checkpoint.save_dense(tmp_path, tiny_dense)
    checkpoint.save_adapted(tmp_path, tiny_sparse, tiny_dense, orders)
    checkpoint.save_config(tmp_path, tiny_sparse.config, {"name": "tiny"})
    return tmp_path


def test_24_bits_keep_a_weight_to_half_a_millionth() -> None:
    """float16 plus int8: 2**-19 relative for ordinary weights, and zero stays zero."""
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 0.05
    weight[0] = 0.0
    back = unpack24(*pack24(weight))
    assert float((back - weight).abs().max()) < 5e-7
    assert float(back[0]) == 0.0
    large = weight.abs() > 1e-3
    assert float(((back - weight).abs() / weight.abs())[large].max()) < 2**-18


def test_a_delta_is_exact_to_half_a_step_of_its_row() -> None:
    """Rows with small changes get small steps."""
    original = torch.randn(4, 50, generator=torch.Generator().manual_seed(1))
    change = torch.randn(4, 50, generator=torch.Generator().manual_seed(2)) * torch.tensor(
        [[1e-3], [1e-2], [0.1], [0.0]]
    )
    delta, scale = pack_delta(original + change, original)
    error = (unpack_delta(original, delta, scale) - original - change).abs().amax(dim=1)
    assert bool((error <= scale[:, 0] * 0.51 + 1e-7).all())


def test_a_saved_model_answers_as_before(folder: Path, tiny_dense: Encoder, tiny_sparse: Encoder) -> None:
    """Save and load: the dense original within 1e-5, the adapted one within the steps of its differences."""
    adapted, dense, config = checkpoint.load_encoders(folder)
    assert config["name"] == "tiny"
    packed = pack([[1, 2, 3, 4], [7, 8]])
    torch.testing.assert_close(dense(packed)[0], tiny_dense(packed)[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(adapted(packed)[0], tiny_sparse(packed)[0], atol=2e-2, rtol=1e-2)


def test_a_folder_with_a_pickle_is_refused(folder: Path) -> None:
    """Even beside good weights: nothing that could run code belongs there."""
    (folder / "heads").mkdir()
    (folder / "heads" / "extra.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=r"extra\.pkl may hold a pickle.*remove the file"):
        checkpoint.load_encoders(folder)


def test_a_pickle_in_disguise_is_refused(folder: Path) -> None:
    """A pickle that is named .safetensors is not a safetensors file."""
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95" + bytes(64))
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        checkpoint.load_encoders(folder)


def test_a_tensor_of_the_wrong_shape_is_named(folder: Path) -> None:
    """The sentence says which tensor has which shape and which is expected."""
    tensors = load_file(folder / "dense.safetensors")
    tensors["layers.1.ffn.b1_H"] = torch.zeros(31)
    save_file(tensors, folder / "dense.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.1\.ffn\.b1_H has shape \(31,\), expected \(32,\)"):
        checkpoint.load_encoders(folder)


def test_a_missing_tensor_and_a_nan_are_named(folder: Path) -> None:
    """Neither is silently replaced."""
    tensors = load_file(folder / "model.safetensors")
    bias = tensors.pop("layers.0.ffn.b2_D")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.0\.ffn\.b2_D is missing"):
        checkpoint.load_encoders(folder)
    bias[3] = float("nan")
    save_file({**tensors, "layers.0.ffn.b2_D": bias}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.0\.ffn\.b2_D holds NaN"):
        checkpoint.load_encoders(folder)


@pytest.mark.parametrize("keep", [0, 5, 100, -1], ids=["empty", "header", "cut", "one byte"])
def test_a_truncated_file_is_refused(folder: Path, keep: int) -> None:
    """Cut anywhere: one sentence, no answer."""
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoint.load_encoders(folder)


def test_a_huge_header_length_is_refused(folder: Path) -> None:
    """A file that announces a header of 2**60 bytes does not make the loader reserve them."""
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        checkpoint.load_encoders(folder)


def test_missing_folder_newer_format_and_broken_config_are_refused(folder: Path, tmp_path: Path) -> None:
    """Each says what to do."""
    with pytest.raises(CheckpointError, match="There is no model folder"):
        checkpoint.load_encoders(tmp_path / "nowhere")
    document = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**document, "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.load_encoders(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        checkpoint.load_encoders(folder)


def test_the_hash_of_a_folder_changes_with_any_file_that_decides_an_answer(folder: Path) -> None:
    """Weights, sizes: one changed byte gives another hash."""
    before = checkpoint.folder_sha256(folder)
    assert before == checkpoint.folder_sha256(folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("tiny", "tinY"))
    assert checkpoint.folder_sha256(folder) != before
