"""The one input of the routing audit: how often each document used each expert, and which group it belongs to.

Shape letters of this package: D documents, L layers, E experts, G groups, K contrasts (one group against another or
against all others), C cells (a cell is one expert of one layer, or another column that is tested), S strata,
B labellings (ways to deal the group labels to the documents).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.errors import AuditError

Integers = NDArray[np.integer]
Floats = NDArray[np.float64]
MAX_CELLS = 400_000_000  # documents x layers x experts, 4 bytes each


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingCounts:
    """`counts_DLE`: tokens of document d that ran expert e in layer l, int32. `tokens_DL`: tokens of d that were routed
    in l. `group_D`: number of the group, a place in `groups`. `stratum_D`: documents are compared within strata only
    (None: all in one). `unit_D`: a level above the document, e.g. its author (None: none is known), named `unit`.

    Raises AuditError where the arrays do not fit together, hold no count, or a number that is none.
    """

    counts_DLE: NDArray[np.int32]
    tokens_DL: NDArray[np.int32]
    group_D: Integers
    groups: tuple[str, ...]
    stratum_D: Integers | None = None
    unit_D: Integers | None = None
    unit: str = "document"

    def __post_init__(self) -> None:
        check_size(self.counts_DLE.shape)
        n_documents, n_layers, _ = self.counts_DLE.shape
        if self.tokens_DL.shape != (n_documents, n_layers) or self.group_D.shape != (n_documents,):
            raise AuditError(
                f"An audit of {n_documents} documents and {n_layers} layers got tokens of shape "
                f"{self.tokens_DL.shape} and labels of shape {self.group_D.shape}; give one row per document."
            )
        if not self.counts_DLE.any():
            raise AuditError("There is no decision to audit: record a run with a routed model, or name it with --run.")
        if self.counts_DLE.min() < 0 or self.tokens_DL.min() < 0:
            raise AuditError("A count of decisions is below 0; check how the counts were made.")
        if len(self.group_D) and not 0 <= self.group_D.min() <= self.group_D.max() < len(self.groups):
            raise AuditError("A document has the number of a group that is not listed; leave out what is unknown.")

    @property
    def n_documents(self) -> int:
        return len(self.group_D)

    @property
    def size_G(self) -> NDArray[np.int64]:
        """Documents of each group."""
        return np.bincount(self.group_D, minlength=len(self.groups))

    @property
    def varies(self) -> bool:
        """Whether the number of experts per token differs between documents: a threshold router."""
        active_DL = self.active_DL
        known_DL = np.where(self.tokens_DL > 0, active_DL, np.nan)
        spread_L = np.nanmax(known_DL, axis=0, initial=-np.inf) - np.nanmin(known_DL, axis=0, initial=np.inf)
        return bool((spread_L > 1e-9).any())

    @property
    def active_DL(self) -> Floats:
        """Mean number of experts that a token of the document ran, 0 where it has none in the layer."""
        choices_DL = self.counts_DLE.sum(axis=2, dtype=np.int64)
        active_DL: Floats = choices_DL / np.maximum(self.tokens_DL, 1)
        return active_DL

    def of(self, keep_D: NDArray[np.bool_], groups: tuple[str, ...] | None = None) -> "RoutingCounts":
        """Some of the documents; with `groups` the labels are numbered anew, by name."""
        group_D = self.group_D[keep_D]
        if groups is not None:
            group_D = np.array([groups.index(self.groups[g]) for g in group_D], np.int64)
        return RoutingCounts(
            counts_DLE=self.counts_DLE[keep_D], tokens_DL=self.tokens_DL[keep_D], group_D=group_D,
            groups=groups or self.groups, stratum_D=None if self.stratum_D is None else self.stratum_D[keep_D],
            unit_D=None if self.unit_D is None else self.unit_D[keep_D], unit=self.unit,
        )  # fmt: skip


def check_size(shape: tuple[int, ...]) -> None:
    """Raises AuditError for more counts than fit in memory."""
    if len(shape) != 3 or np.prod(shape, dtype=np.float64) > MAX_CELLS:
        raise AuditError(
            f"An audit takes counts of documents x layers x experts, at most {MAX_CELLS:,}, here {shape}: audit fewer "
            "runs (--run), or make one document of each user or template (--unit)."
        )
