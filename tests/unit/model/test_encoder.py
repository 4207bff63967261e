"""The packed encoder against a plain BERT layer, and its independence from neighbours."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from moe_core.model.encoder import Encoder, EncoderLayer, pack, pool


def slow_reference(encoder: Encoder, ids: list[int]) -> torch.Tensor:
    """One text, written out: embeddings, softmax attention per head, GELU block, mean, length 1."""
    norm = encoder.embeddings.norm
    x = F.layer_norm(encoder.embeddings.word.weight[ids] + encoder.embeddings.position.weight[: len(ids)],
                     (x_width := encoder.config.d_model,), norm.weight, norm.bias, norm.eps)  # fmt: skip
    for layer in encoder.layers:
        assert isinstance(layer, EncoderLayer)
        q, k, v = layer.attention.qkv(x).chunk(3, dim=1)
        heads = []
        width = x_width // encoder.config.n_heads
        for head in range(encoder.config.n_heads):
            part = slice(head * width, (head + 1) * width)
            weights = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(width), dim=1)
            heads.append(weights @ v[:, part])
        x = layer.attention_norm(x + layer.attention.output(torch.cat(heads, dim=1)))
        hidden = F.gelu(x @ layer.ffn.w1_HD.T + layer.ffn.b1_H)
        x = layer.ffn_norm(x + hidden @ layer.ffn.w2_HD + layer.ffn.b2_D)
    return F.normalize(x.mean(dim=0), dim=0)


def test_the_packed_encoder_computes_a_bert_encoder(tiny_dense: Encoder) -> None:
    """Texts of three lengths in one call equal the written-out reference one by one, in the caller's order."""
    texts = [[3, 4, 5, 6], [7], [8, 9, 10, 11, 12, 13], [14, 15, 16, 17]]
    packed = pack(texts)
    embeddings = pool(tiny_dense(packed)[0], packed)
    for row, ids in zip(embeddings, texts, strict=True):
        torch.testing.assert_close(row, slow_reference(tiny_dense, ids), atol=1e-5, rtol=1e-5)


def test_packing_keeps_every_token_and_adds_none() -> None:
    """No padding exists: the packed length is the sum of the lengths, groups hold equal lengths."""
    packed = pack([[5, 6, 7], [1], [2, 3, 4], [9]])
    assert packed.ids_T.tolist() == [1, 9, 5, 6, 7, 2, 3, 4]
    assert packed.position_T.tolist() == [0, 0, 0, 1, 2, 0, 1, 2]
    assert packed.groups == ((2, 1), (2, 3))
    assert packed.order_B == (1, 3, 0, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=12), min_size=1, max_size=6))
def test_every_text_gets_its_own_embedding_back(texts: list[list[int]]) -> None:
    """Whatever the order and the lengths, row i belongs to text i."""
    torch.manual_seed(0)
    from moe_core.model.encoder import EncoderConfig

    encoder = EncoderConfig(
        vocab_size=50, n_positions=12, d_model=16, n_layers=1, n_heads=2, d_hidden=16, n_experts=0
    ).build()
    for block in (encoder.layers[0].ffn,):
        torch.nn.init.normal_(block.w1_HD)
        torch.nn.init.normal_(block.w2_HD)
    with torch.inference_mode():
        packed = pack(texts)
        together = pool(encoder.eval()(packed)[0], packed)
        for i, ids in enumerate(texts):
            alone = pack([ids])
            torch.testing.assert_close(together[i], pool(encoder(alone)[0], alone)[0], atol=1e-5, rtol=1e-4)
