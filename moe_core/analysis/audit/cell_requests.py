"""The requests behind one cell: who used this expert most, in the group and in what it is compared with."""

import numpy as np
import pandas as pd

from moe_core.analysis.audit.contrasts import ALL_OTHERS
from moe_core.analysis.audit.documents import Documents

COLUMNS = ("run_id", "request_id", "group", "share", "choices", "of")


def cell_requests(
    documents: Documents, layer: int, expert_id: int, group: str, reference: str, *, most: int
) -> pd.DataFrame:
    """-> COLUMNS, up to `most` requests of the group, then of the reference, largest share first.

    share: of the layer's choices of the request's document that went to the expert; choices of `of` are the counts.
    Where several requests are one document, each of them carries the document's numbers.
    """
    counts = documents.counts
    of_D = counts.counts_DLE[:, layer, :].sum(axis=1, dtype=np.int64)
    chosen_D = counts.counts_DLE[:, layer, expert_id].astype(np.int64)
    share_D = chosen_D / np.maximum(of_D, 1)
    document_R = documents.document_R
    rows = pd.DataFrame({
        "run_id": documents.requests["run_id"], "request_id": documents.requests["request_id"],
        "group": np.array(counts.groups, object)[counts.group_D[document_R]], "share": share_D[document_R],
        "choices": chosen_D[document_R], "of": of_D[document_R],
    })  # fmt: skip
    rows = rows[rows["of"] > 0].sort_values(["share", "request_id"], ascending=[False, True])
    others = rows["group"] != group if reference == ALL_OTHERS else rows["group"] == reference
    parts = [rows[rows["group"] == group].head(most), rows[others].head(most)]
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]
