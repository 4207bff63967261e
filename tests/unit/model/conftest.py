"""A tiny encoder with random weights: enough to test mechanics, never shown to anybody."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from moe_core.model.calibration import Calibration, DialPoint
from moe_core.model.encoder import Encoder, EncoderConfig
from moe_core.model.heads import Head, HeadCard
from moe_core.model.reference import RoutedModel
from moe_core.model.split import expert_layers, split_into_experts
from moe_core.model.tokens import TextTokenizer
from moe_core.records import RequestRecord, RoutingBatch, RunRecord

WORDS = ["the", "parcel", "never", "arrived", "and", "nobody", "answers", "good", "bad", "box", "late", "again"]


@pytest.fixture
def tiny_dense() -> Encoder:
    """2 layers, D = 16, 32 neurons, vocabulary 50."""
    torch.manual_seed(3)
    config = EncoderConfig(vocab_size=50, n_positions=24, d_model=16, n_layers=2, n_heads=4, d_hidden=32, n_experts=0)
    encoder = config.build()
    for parameter in encoder.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval().requires_grad_(False)


@pytest.fixture
def tiny_sparse(tiny_dense: Encoder) -> Encoder:
    """The same with 4 experts of 8 neurons, routers that tell experts apart, and mean outputs that are not 0."""
    torch.manual_seed(4)
    encoder = split_into_experts(tiny_dense, n_experts=4, router_hidden=8, ramp=0.2, seed=0)
    for block in expert_layers(encoder):
        torch.nn.init.normal_(block.mean_ED, std=0.1)
        torch.nn.init.normal_(block.router.outer.weight, std=1.0)
    return encoder.eval().requires_grad_(False)


@pytest.fixture
def tiny_model(tiny_dense: Encoder, tiny_sparse: Encoder, tmp_path: Path) -> RoutedModel:
    """Both encoders with a tokenizer of a dozen words, a dial of three points and a head of two labels."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    vocabulary = {piece: number for number, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    points = tuple(
        DialPoint(tau, share, 0.9, 0.8, 10, 100, [share] * 2, {}) for tau, share in ((0.9, 0.3), (0.5, 0.6), (0.0, 1.0))
    )
    head = Head(HeadCard(name="mood", labels=["bad", "good"]), 3 * torch.randn(2, 16), torch.zeros(2))
    return RoutedModel(
        adapted=tiny_sparse, dense=tiny_dense, tokenizer=TextTokenizer(folder / "tokenizer.json", 24),
        calibration=Calibration(points), heads={"mood": head}, name="tiny", sha256="a" * 64, folder=folder,
        default_head="mood",
    )  # fmt: skip


class ListSink:
    """A sink that keeps what it is given: (run_id, requests, decisions) of every call of `append`."""

    def __init__(self) -> None:
        self.runs: list[RunRecord] = []
        self.parts: list[tuple[str, Sequence[RequestRecord], RoutingBatch]] = []
        self.flushed = 0

    def begin_run(self, run: RunRecord) -> None:
        self.runs.append(run)

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
        self.parts.append((self.runs[-1].run_id, requests, decisions))

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        """Nothing to let go of."""

    def requests_of(self, run_id: str) -> list[RequestRecord]:
        return [request for run, requests, _ in self.parts if run == run_id for request in requests]
