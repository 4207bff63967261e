"""What a routed token's router input is made of: vectors that enter the residual stream, and the norms on their way.

A path is a row of stages. In each one some vectors are added, then everything so far goes through a norm: 2 l + 2
stages before router l of a post-norm encoder, one stage before a router of a pre-norm decoder. With the norm's scale
frozen it is an affine map, so what leaves the last one is a sum over all vectors; with the scale recomputed it is what
the model does. Everything is float64.

Shape letters as in `model/router.py`; C components, N rows of residual streams.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from moe_core.explain.decision import CONSTANTS, Kind

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """Which component: see `decision.Contribution`."""

    kind: Kind
    layer: int | None = None
    index: int | None = None

    @property
    def is_constant(self) -> bool:
        return self.kind in CONSTANTS


@dataclass(frozen=True, slots=True)
class Norm:
    """LayerNorm (centred) or RMSNorm: y = scale x P v / s + shift, s = sqrt(|P v|^2 / D + eps). P v: less its mean
    where centred."""

    scale_D: Array
    shift_D: Array
    eps: float
    centred: bool

    def project(self, v_ND: Array) -> Array:
        """P v, row by row."""
        return v_ND - v_ND.mean(axis=-1, keepdims=True) if self.centred else v_ND

    def size(self, projected_ND: Array) -> Array:
        """s of every row of P v, shape (N, 1)."""
        size_N1: Array = np.sqrt(np.square(projected_ND).mean(axis=-1, keepdims=True) + self.eps)
        return size_N1

    def __call__(self, v_ND: Array) -> Array:
        projected_ND = self.project(v_ND)
        return self.scale_D * projected_ND / self.size(projected_ND) + self.shift_D


@dataclass(frozen=True, slots=True)
class Stage:
    """Vectors that are added to the stream, one a part, then the norm; `shift`: the part its shift counts as."""

    parts: tuple[Part, ...]
    vectors_CD: Array
    norm: Norm
    shift: Part


@dataclass(frozen=True, slots=True)
class Reader:
    """A router's maps: logits = outer gelu(inner y + b) + c; without `outer_ER` it is linear: logits = inner y + b."""

    inner_RD: Array
    inner_R: Array
    outer_ER: Array | None = None
    outer_E: Array | None = None

    def logits(self, y_ND: Array) -> Array:
        """logits_NE."""
        return self.from_inner(y_ND @ self.inner_RD.T + self.inner_R)

    def from_inner(self, z_NR: Array) -> Array:
        """logits_NE from what the inner map gives."""
        if self.outer_ER is None or self.outer_E is None:
            return z_NR
        logits_NE: Array = (z_NR * ndtr(z_NR)) @ self.outer_ER.T + self.outer_E
        return logits_NE

    def slopes(self, z_R: Array) -> Array:
        """Derivative of the logits by what the inner map gives, (E, R)."""
        if self.outer_ER is None:
            return np.eye(len(z_R))
        density_R = np.exp(-0.5 * z_R * z_R) / np.sqrt(2 * np.pi)
        slopes_ER: Array = self.outer_ER * (ndtr(z_R) + z_R * density_R)
        return slopes_ER

    def frozen(self, y_D: Array) -> tuple[Array, Array]:
        """(weights_ED, constants_E): the affine map that gives the logits at y with every GELU's gate held: GELU(z) is
        z times a gate between 0 and 1, which is kept as it is at y."""
        if self.outer_ER is None or self.outer_E is None:
            return self.inner_RD, self.inner_R
        gated_ER = self.outer_ER * ndtr(self.inner_RD @ y_D + self.inner_R)
        return gated_ER @ self.inner_RD, gated_ER @ self.inner_R + self.outer_E


@dataclass(frozen=True, slots=True)
class Path:
    """Everything between the embeddings and one router's logits, for one token."""

    stages: tuple[Stage, ...]
    reader: Reader

    def taken_apart(self) -> "TakenApart":
        """The router's input as a sum, every norm's scale frozen."""
        rows_CD = np.empty((0, self.stages[0].vectors_CD.shape[1]))
        parts: list[Part] = []
        for stage in self.stages:
            rows_CD = np.concatenate([rows_CD, stage.vectors_CD])
            before_D = rows_CD.sum(axis=0)
            size = stage.norm.size(stage.norm.project(before_D))
            rows_CD = stage.norm.scale_D * stage.norm.project(rows_CD) / size
            rows_CD = np.concatenate([rows_CD, stage.norm.shift_D[None]])
            parts += [*stage.parts, stage.shift]
        return TakenApart(tuple(parts), rows_CD, before_D)

    def without_each(self) -> tuple[tuple[Part, ...], Array]:
        """(parts, logits_NE): every component that is no constant taken out where it enters, one a row, and every norm
        recomputed; all other vectors are held."""
        removable = tuple(p for stage in self.stages for p in stage.parts if not p.is_constant)
        stream_ND = np.zeros((len(removable), self.stages[0].vectors_CD.shape[1]))
        row = 0
        for stage in self.stages:
            stream_ND = stream_ND + stage.vectors_CD.sum(axis=0)
            for part, vector_D in zip(stage.parts, stage.vectors_CD, strict=True):
                if not part.is_constant:
                    stream_ND[row] -= vector_D
                    row += 1
            stream_ND = stage.norm(stream_ND)
        return removable, self.reader.logits(stream_ND)


@dataclass(frozen=True, slots=True)
class TakenApart:
    """rows_CD add up to the router's input; before_D: what entered the last norm."""

    parts: tuple[Part, ...]
    rows_CD: Array
    before_D: Array

    @property
    def input_D(self) -> Array:
        total_D: Array = self.rows_CD.sum(axis=0)
        return total_D
