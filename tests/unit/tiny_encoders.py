"""Encoders with random weights and a tokenizer of a dozen words: enough to test mechanics, never shown to anybody.

Weights come from torch's global generator: seed it before.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from moe_core.model.encoder import Encoder, EncoderConfig
from moe_core.model.split import expert_layers, split_into_experts

WORDS = ["the", "parcel", "never", "arrived", "and", "nobody", "answers", "good", "bad", "box", "late", "again"]


def dense_encoder(*, n_positions: int) -> Encoder:
    """2 layers, D = 16, 32 neurons, vocabulary 50."""
    config = EncoderConfig(
        vocab_size=50, n_positions=n_positions, d_model=16, n_layers=2, n_heads=4, d_hidden=32, n_experts=0
    )
    encoder = config.build()
    for parameter in encoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval().requires_grad_(False)


def sparse_encoder(dense: Encoder, *, with_means: bool = True) -> Encoder:
    """The same with 4 experts of 8 neurons and routers that tell them apart; `with_means`: mean outputs are not 0."""
    encoder = split_into_experts(dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    for block in expert_layers(encoder):
        if with_means:
            torch.nn.init.normal_(block.mean_ED, std=0.1)
        torch.nn.init.normal_(block.router.outer.weight, std=1.0)
    return encoder.eval().requires_grad_(False)


def save_tokenizer(path: Path, words: Sequence[str] = WORDS, *, punctuation: bool = False) -> None:
    """A word-piece tokenizer of `words` with start and end marks; `punctuation`: marks are split off and have pieces,
    as every other printable ASCII character."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    if punctuation:
        pieces += sorted({chr(c) for c in range(33, 127)} - set(pieces))
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer() if punctuation else pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    tokenizer.save(str(path))
