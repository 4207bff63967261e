"""`load_model`: the public door to a model folder, and `run` on a list of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from moe_core.errors import InputError
from moe_core.model.calibration import Calibration, layer_thresholds, load_calibration
from moe_core.model.checkpoint import folder_sha256, load_encoders
from moe_core.model.encoder import Encoder, EncoderConfig, RouteLayer
from moe_core.model.folder import REFERENCE_FOLDER
from moe_core.model.heads import Head, load_heads
from moe_core.model.requests import Answer, Setting, TextRequest
from moe_core.model.router import AdaptiveRoute, Mode
from moe_core.model.session import Session
from moe_core.model.tokens import TextTokenizer
from moe_core.records import RoutingSink


@dataclass(frozen=True, slots=True)
class RunOutput:
    """Answers to N texts in their order. embeddings (N, D) float32, rows L2-normalised; labels and scores are None
    without a head; active_fraction is the token-weighted share of the expert compute; flops* are sums."""

    run_id: str
    embeddings: NDArray[np.float32]
    labels: list[str | None]
    scores: list[float | None]
    active_fraction: float
    flops: int
    flops_dense: int
    answers: list[Answer]


class RoutedModel:
    """A loaded model folder: the adapted sparse encoder, the dense original, heads, tokenizer and dial.

    `folder` is where it was loaded from; what was measured on it lies there too.
    """

    def __init__(
        self,
        *,
        adapted: Encoder,
        dense: Encoder,
        tokenizer: TextTokenizer,
        calibration: Calibration,
        heads: Mapping[str, Head],
        name: str,
        sha256: str,
        folder: Path,
        default_head: str | None = None,
    ) -> None:
        self.adapted, self.dense, self.tokenizer = adapted, dense, tokenizer
        self.calibration, self.heads, self.name, self.sha256 = calibration, dict(heads), name, sha256
        self.folder, self.default_head = folder, default_head

    @property
    def config(self) -> EncoderConfig:
        return self.adapted.config

    def head(self, name: str) -> Head:
        """Raises InputError if the model has no such head."""
        if name not in self.heads:
            raise InputError(f"There is no head {name!r}; this model has: {', '.join(sorted(self.heads)) or 'none'}.")
        return self.heads[name]

    def route(self, budget: float, available: Sequence[Tensor | None] | None = None) -> RouteLayer:
        """The adaptive rule at a budget, for `Encoder.forward`; `available`: see `lost_experts.available_LE`.

        Raises InputError outside the measured range.
        """
        n_layers = self.config.n_layers
        thresholds = layer_thresholds(self.adapted, [self.calibration.tau(budget)] * n_layers)
        return AdaptiveRoute(thresholds, available)

    def session(self, setting: Setting, sink: RoutingSink | None = None, **details: Any) -> Session:
        """A run at one setting. `details`: source, actor, config, run, answered (see Session)."""
        return Session(self, setting, sink, **details)

    def run(
        self,
        texts: Sequence[str],
        budget: float = 0.5,
        head: str | None = None,
        sink: RoutingSink | None = None,
        *,
        mode: Mode = "adaptive",
        truncate: bool = False,
        keep_traces: bool = False,
    ) -> RunOutput:
        """Answers `texts`. With a sink, every decision is logged and durable on return.

        Raises InputError for a bad text, budget, mode or head; LogError if the log cannot be written.
        """
        if isinstance(texts, str):
            raise InputError("`texts` is one string: give a list of texts.")
        setting = Setting(mode=mode, budget=budget, head=head, truncate=truncate, keep_traces=keep_traces)
        session = self.session(setting, sink)
        answers = session.answer([TextRequest(text=text) for text in texts])
        if sink is not None:
            sink.flush()
        return collect(session.run.run_id, answers, self.config)


def collect(run_id: str, answers: list[Answer], config: EncoderConfig) -> RunOutput:
    """Sums up answers."""
    tokens = sum(answer.n_tokens for answer in answers)
    active = sum(answer.active_fraction * answer.n_tokens for answer in answers) / tokens if tokens else 0.0
    width = (len(answers), config.d_model)
    return RunOutput(
        run_id=run_id,
        embeddings=np.stack([a.embedding_D for a in answers]) if answers else np.zeros(width, np.float32),
        labels=[answer.label for answer in answers],
        scores=[answer.score for answer in answers],
        active_fraction=active,
        flops=sum(answer.flops for answer in answers),
        flops_dense=sum(answer.flops_dense for answer in answers),
        answers=answers,
    )


def load_model(folder: str | Path | None = None) -> RoutedModel:
    """Loads a model folder (default: the reference model). Only safetensors and JSON are read.

    Raises CheckpointError with one sentence if the folder is missing, damaged, or holds a pickle.
    """
    path = REFERENCE_FOLDER if folder is None else Path(folder)
    adapted, dense, config = load_encoders(path)
    return RoutedModel(
        adapted=adapted,
        dense=dense,
        tokenizer=TextTokenizer(path / "tokenizer.json", int(config.get("max_tokens", 512))),
        calibration=load_calibration(path / "calibration.json"),
        heads=load_heads(path / "heads", adapted.config.d_model),
        name=str(config.get("name", path.name)),
        sha256=folder_sha256(path),
        folder=path,
        default_head=config.get("default_head"),
    )
