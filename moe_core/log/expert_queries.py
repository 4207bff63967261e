"""What the card of one expert reads of a run, all of it from rollups: quick however long the log is."""

import pandas as pd

from moe_core.log import queries
from moe_core.log import specialization_queries as log
from moe_core.log.index import Index


def expert_frames(index: Index, run_id: str, layer: int) -> dict[str, pd.DataFrame]:
    """By the names of `analysis/expert_card/card.RunFrames`: one layer of load, hours and pairs, all of the documents'
    sums. Raises RunNotFoundError."""
    load = queries.expert_load(index, run_id)
    return {
        "load": load[load["layer"] == layer], "tokens": queries.layer_tokens(index, run_id),
        "hours": queries.load_over_time(index, run_id, layer=layer),
        "pairs": queries.coactivation(index, run_id, layer), "experts": log.document_experts(index, run_id),
        "layers": log.document_layers(index, run_id),
    }  # fmt: skip
