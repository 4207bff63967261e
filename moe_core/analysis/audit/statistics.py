"""Statistics of many labellings at once: matrix products of label indicators with document values.

For every labelling: Welch's t of each cell and contrast, reduced to the largest abs(t) of each layer, and the
Jensen-Shannon divergence of each layer between the group means. All of it costs labellings x documents x cells, however
many tokens there were.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.audit.columns import Columns
from moe_core.analysis.audit.contrasts import Contrast
from moe_core.analysis.audit.counts import Floats
from moe_core.analysis.audit.labellings import Labels

ELEMENTS_AT_ONCE = 400_000  # labellings x cells
TIE = 1e-5  # relative: values nearer than that are one value, computed in another order
_SMALLEST_ERROR = 1e-3  # of a difference, in standard deviations of the cell: no t from rounding alone
Float32s = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Summary:
    """`jsd_BL` in bits; `max_t_BQL`: largest abs(t) of a layer's tested cells over the contrasts of each size class Q,
    0 where none is."""

    jsd_BL: Floats
    max_t_BQL: Floats

    @property
    def max_t_BQ(self) -> Floats:
        largest_BQ: Floats = self.max_t_BQL.max(axis=2, initial=0.0)
        return largest_BQ


@dataclass(slots=True)
class Exceedances:
    """Counts how many values of abs(t), over all cells and contrasts of null labellings, reach each given one."""

    given: Floats
    _order: NDArray[np.int64] = field(init=False)
    _sorted: Float32s = field(init=False)
    _reached: NDArray[np.int64] = field(init=False)
    n: int = 0

    def __post_init__(self) -> None:
        self._order = np.argsort(self.given)
        self._sorted = (self.given[self._order] * (1 - TIE)).astype(np.float32)
        self._reached = np.zeros(len(self.given) + 1, np.int64)

    def add(self, abs_t: Float32s) -> None:
        above = np.searchsorted(self._sorted, abs_t.ravel(), side="right")
        self._reached += np.bincount(above, minlength=len(self.given) + 1)
        self.n += abs_t.size

    @property
    def count(self) -> NDArray[np.int64]:
        """In the order of `given`."""
        at_least = np.cumsum(self._reached[::-1])[::-1][1:]
        count = np.empty(len(self.given), np.int64)
        count[self._order] = at_least
        return count


class Statistics:
    """Computes for `columns` and `contrasts`; keeps the squares that every labelling needs."""

    def __init__(
        self, columns: Columns, contrasts: Sequence[Contrast], n_groups: int,
        tested_KC: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        """`tested_KC`: where not every contrast is tested in every tested cell. `class_K`: the place of the size class
        of each contrast among those that occur."""
        self.columns, self.contrasts, self._n_groups = columns, tuple(contrasts), n_groups
        given_K = np.array([contrast.size_class for contrast in contrasts], np.int64)
        self.class_K: NDArray[np.int64] = np.unique(given_K, return_inverse=True)[1].astype(np.int64)
        self.tested_KC: NDArray[np.bool_] = np.broadcast_to(columns.tested_C, (len(given_K), len(columns.tested_C)))
        if tested_KC is not None:
            self.tested_KC = self.tested_KC & tested_KC
        self._square_DC = columns.z_DC**2
        self._square_C = self._square_DC.sum(axis=0, dtype=np.float64).astype(np.float32)
        self._total_C = columns.z_DC.sum(axis=0, dtype=np.float64).astype(np.float32)

    def summarise(self, blocks: Iterable[Labels], counting: Exceedances | None = None, jsd: bool = True) -> Summary:
        """One row per labelling, in order. With `counting`, every abs(t) of a tested cell is added to it."""
        divergences, largest = [], []
        n_classes = int(self.class_K.max()) + 1
        for labels_BD in self._cut(blocks):
            groups = self._groups(labels_BD)
            abs_t_QBC = np.zeros((n_classes, len(labels_BD), len(self.columns.row_C)), np.float32)
            for k, contrast in enumerate(self.contrasts):
                tested_C = self.tested_KC[k]
                t_BC = np.abs(self._t(groups, contrast))
                t_BC[:, ~tested_C] = 0
                if counting is not None:
                    counting.add(t_BC[:, tested_C])
                np.maximum(abs_t_QBC[self.class_K[k]], t_BC, out=abs_t_QBC[self.class_K[k]])
            of_layers_QBL = np.maximum.reduceat(abs_t_QBC, self.columns.start_L, axis=2).astype(np.float64)
            largest.append(of_layers_QBL.transpose(1, 0, 2))
            divergences.append(self._jsd(groups) if jsd else np.zeros((len(labels_BD), of_layers_QBL.shape[2])))
        return Summary(np.concatenate(divergences), np.concatenate(largest))

    def t(self, group_D: NDArray[np.integer]) -> Floats:
        """t of one labelling, shape (contrasts, cells); NaN where a cell is not tested."""
        groups = self._groups(group_D[None].astype(np.int8))
        t_KC = np.stack([self._t(groups, contrast)[0] for contrast in self.contrasts]).astype(np.float64)
        t_KC[~self.tested_KC] = np.nan
        return t_KC

    def deviation(self, group_D: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """-> (mean deviation of each group from all documents in the unit of the values, shape (groups, cells);
        documents of each group with a value, same shape)."""
        groups = self._groups(group_D[None].astype(np.int8))
        deviation_GC = np.stack([s[0] / np.maximum(n[0], 1) for s, _, n in groups]) * self.columns.scale_C
        n_GC = np.stack([np.broadcast_to(n[0], s[0].shape) for s, _, n in groups]).astype(np.float64)
        return deviation_GC * self.columns.factor_G[:, None], n_GC

    def _cut(self, blocks: Iterable[Labels]) -> Iterator[Labels]:
        """Fewer labellings at once where there are many cells, so that what is computed from them stays near."""
        rows = max(16, ELEMENTS_AT_ONCE // max(len(self.columns.row_C), 1))
        for labels_BD in blocks:
            for low in range(0, len(labels_BD), rows):
                yield labels_BD[low : low + rows]

    def _groups(self, labels_BD: Labels) -> list[tuple[Float32s, Float32s, Float32s]]:
        """(sum, sum of squares, number of documents) of each group. The largest one is what remains: the rounding of a
        difference of large sums would drown a group of five."""
        columns = self.columns
        largest = int(np.argmax(np.bincount(labels_BD[0], minlength=self._n_groups)))
        found = []
        for g in range(self._n_groups):
            if g == largest:
                continue
            member_BD = (labels_BD == g).astype(np.float32)
            found.append((member_BD @ columns.z_DC, member_BD @ self._square_DC, self._n(member_BD)))
        n_all = self._n(np.ones((1, labels_BD.shape[1]), np.float32))
        rest = (self._total_C[None], self._square_C[None], n_all)
        for sums, squares, n in found:
            rest = (rest[0] - sums, rest[1] - squares, rest[2] - n)
        return [*found[:largest], rest, *found[largest:]]

    def _n(self, member_BD: Float32s) -> Float32s:
        if self.columns.has_DL is None:
            of_all: Float32s = member_BD.sum(axis=1, keepdims=True)
            return of_all
        of_layers: Float32s = (member_BD @ self.columns.has_DL)[:, self.columns.row_C]
        return of_layers

    def _t(self, groups: list[tuple[Float32s, Float32s, Float32s]], contrast: Contrast) -> Float32s:
        sums, squares, n = groups[contrast.group]
        if contrast.reference is not None:
            against = groups[contrast.reference]
        else:
            n_all = groups[0][2].copy()
            for other in groups[1:]:
                n_all = n_all + other[2]
            against = (self._total_C - sums, self._square_C - squares, n_all - n)
        mean, error = _mean_and_error(sums, squares, n)
        mean_0, error_0 = _mean_and_error(*against)
        both = np.sqrt(error + error_0)
        t_BC: Float32s = (mean - mean_0) / np.maximum(both, np.float32(_SMALLEST_ERROR))
        return t_BC

    def _jsd(self, groups: list[tuple[Float32s, Float32s, Float32s]]) -> Floats:
        """Mean over the groups of KL(group || mean of groups), in bits; by deviations, so that nothing cancels."""
        columns = self.columns
        deviations = [
            (sums / np.maximum(n, 1)) * (columns.scale_C * factor)
            for (sums, _, n), factor in zip(groups, columns.factor_G, strict=True)
        ]
        middle_BC = columns.mean_C + sum(deviations) / len(deviations)
        np.maximum(middle_BC, 1e-12, out=middle_BC)
        total_BC = np.zeros(middle_BC.shape)
        centre_BC = sum(deviations) / len(deviations)
        for deviation_BC in deviations:
            relative_BC = np.maximum((deviation_BC - centre_BC) / middle_BC, -1 + 1e-12)
            total_BC += (1 + relative_BC) * np.log1p(relative_BC) - relative_BC
        total_BC *= middle_BC
        bits_BL: Floats = np.add.reduceat(total_BC, columns.start_L, axis=1) / (len(deviations) * np.log(2))
        return bits_BL


def _mean_and_error(sums: Float32s, squares: Float32s, n: Float32s) -> tuple[Float32s, Float32s]:
    """-> (mean, its squared standard error)."""
    at_least_1 = np.maximum(n, np.float32(1))
    mean: Float32s = sums / at_least_1
    variance: Float32s = (squares - sums * mean) / np.maximum(n - 1, np.float32(1))
    error: Float32s = np.maximum(variance, np.float32(0)) / at_least_1
    return mean, error
