"""A tiny encoder with random weights: enough to test mechanics, never shown to anybody."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from moe_core.model.calibration import Calibration, DialPoint
from moe_core.model.encoder import Encoder
from moe_core.model.heads import Head, HeadCard
from moe_core.model.reference import RoutedModel
from moe_core.model.tokens import TextTokenizer
from moe_core.records import RequestRecord, RoutingBatch, RunRecord
from tests.unit.tiny_encoders import dense_encoder, save_tokenizer, sparse_encoder


@pytest.fixture
def tiny_dense() -> Encoder:
    """2 layers, D = 16, 32 neurons, vocabulary 50."""
    torch.manual_seed(3)
    return dense_encoder(n_positions=24)


@pytest.fixture
def tiny_sparse(tiny_dense: Encoder) -> Encoder:
    """The same with 4 experts of 8 neurons, routers that tell experts apart, and mean outputs that are not 0."""
    torch.manual_seed(4)
    return sparse_encoder(tiny_dense)


@pytest.fixture
def tiny_model(tiny_dense: Encoder, tiny_sparse: Encoder, tmp_path: Path) -> RoutedModel:
    """Both encoders with a tokenizer of a dozen words, a dial of three points and a head of two labels."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    save_tokenizer(folder / "tokenizer.json")
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
