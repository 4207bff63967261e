"""The requests of a sample in which one expert runs most, and least."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.interval import Z_95
from moe_core.analysis.specialization.ratio_sums import Floats
from moe_core.analysis.specialization.sample import RoutingSample

SHOWN = 5
LEAST_TOKENS = 8
MOST, LEAST = "most", "least"
COLUMNS = ("which", "request_id", "domain", "n", "runs", "share", "position")


def typical_requests(own: RoutingSample) -> pd.DataFrame:
    """own: as `one_expert` gives it -> COLUMNS, at most SHOWN requests with at least LEAST_TOKENS routed tokens in
    which the expert runs for the largest share of tokens (`most`), and as many with the smallest (`least`).

    Ordered by the lower bound of the share (for `least` by the upper one), so that a short text does not come first by
    luck. position: of the first token for which it runs, of the first token where it runs for none.
    """
    routed = own.first_TL[:, 0] >= 0
    n_D = np.bincount(own.document_T[routed], minlength=own.n_documents)
    runs_D = np.bincount(own.document_T[own.token_S], minlength=own.n_documents)
    kept = np.flatnonzero(n_D >= LEAST_TOKENS)
    if not len(kept):
        return pd.DataFrame(columns=list(COLUMNS))
    low_K, high_K = _bounds(runs_D[kept], n_D[kept])
    size = min(SHOWN, max(1, len(kept) // 2)) if len(kept) > 1 else 1
    most = kept[np.argsort(-low_K, kind="stable")[:size]]
    most = most[runs_D[most] > 0]
    least = [d for d in kept[np.argsort(high_K, kind="stable")] if d not in set(most)][:size]
    ran_T = np.zeros(own.n_tokens, bool)
    ran_T[own.token_S] = True
    begins = np.searchsorted(own.document_T, np.arange(own.n_documents + 1))
    rows = []
    for which, chosen in ((MOST, most), (LEAST, least)):
        for d in chosen:
            part = slice(begins[d], begins[d + 1])
            place = int(ran_T[part].argmax()) if runs_D[d] else 0
            position = int(own.position_T[part][place])
            share = float(runs_D[d] / n_D[d])
            rows.append((which, own.request_ids[d], own.domains[d], int(n_D[d]), int(runs_D[d]), share, position))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _bounds(runs_K: NDArray[np.int64], n_K: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Wilson bounds of each share, to order by."""
    share, z = runs_K / n_K, Z_95
    centre = share + z * z / (2 * n_K)
    spread = z * np.sqrt(share * (1 - share) / n_K + z * z / (4 * n_K**2))
    return (centre - spread) / (1 + z * z / n_K), (centre + spread) / (1 + z * z / n_K)
