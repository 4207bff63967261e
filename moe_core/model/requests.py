"""What goes into the model and what comes out, one object per request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.model.router import Mode
from moe_core.model.tokens import TokenizedText


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRequest:
    """One text to answer. `domain` and `attributes` are kept in the log beside the decisions;
    `reference_label` is the label known to be right, if there is one."""

    text: str
    domain: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    reference_label: str | None = None


def check_labels(request: TextRequest, number: int) -> None:
    """Raises InputError where domain, label or an attribute is no text that a log can hold."""
    labels = [("domain", request.domain), ("reference label", request.reference_label)]
    for name, value in request.attributes.items():
        labels += [("attribute name", name), (f"attribute {name!r}", value if value is not None else 0)]
    for what, label in labels:
        if label is None or (isinstance(label, str) and (label.isascii() or _is_unicode(label))):
            continue
        remedy = "decode it as UTF-8" if isinstance(label, str) else "convert it with str()"
        raise InputError(f"Text {number}: {what} is {label!r}, not a text in Unicode; {remedy}.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """A request whose text was checked and split into tokens, and its share of the time that took."""

    request: TextRequest
    tokens: TokenizedText
    tokenize_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How to run: `budget` is the share of the expert compute in adaptive and top-k mode, unused in dense mode.

    thresholds_L: common threshold of each layer, used instead of the budget (adaptive mode only); unavailable: pairs
    (layer, expert_id) that must not run (not in dense mode, which has no experts).
    """

    mode: Mode = "adaptive"
    budget: float = 0.5
    head: str | None = "sentiment"
    truncate: bool = False
    keep_traces: bool = False
    batch_tokens: int = 4096
    thresholds_L: tuple[float, ...] | None = None
    unavailable: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """All routing of one request: scores_LTE, logits_LTE, gates_LTE, margins_LTE float32; thresholds_LTE as compared.
    gates_LTE is 0 where an expert did not run. floor_LT: the best expert ran below its threshold.
    failover_LTE: it ran only because another expert was not available; None if every expert was."""

    pieces: list[str]
    is_special: list[bool]
    scores_LTE: NDArray[np.float32]
    logits_LTE: NDArray[np.float32]
    thresholds_LTE: NDArray[np.float32]
    gates_LTE: NDArray[np.float32]
    floor_LT: NDArray[np.bool_]
    failover_LTE: NDArray[np.bool_] | None = None

    @property
    def margins_LTE(self) -> NDArray[np.float32]:
        return self.scores_LTE - self.thresholds_LTE

    @property
    def experts_used_LT(self) -> NDArray[np.int64]:
        """Number of experts that ran, per layer and token."""
        counts: NDArray[np.int64] = (self.gates_LTE > 0).sum(axis=2)
        return counts


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request and what it cost. `latency_ms`: wall time of the batch it was answered in, with its
    share of tokenization; `lead`: probability of the label minus that of the next one; `n_decisions`: rows handed
    to the log (executed experts and best losers)."""

    request_id: str
    label: str | None
    score: float | None
    lead: float | None
    n_tokens: int
    active_fraction: float
    flops: int
    flops_dense: int
    latency_ms: float
    n_decisions: int
    embedding_D: NDArray[np.float32]
    trace: Trace | None = None
