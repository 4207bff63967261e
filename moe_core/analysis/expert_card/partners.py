"""With whom one expert runs more, or less, often than chance."""

import pandas as pd

from moe_core.analysis.specialization.partners import partner_lifts, with_intervals
from moe_core.analysis.specialization.sample import RoutingSample

SHOWN = 8
COLUMNS = ("expert_id", "n", "expected", "tokens", "over_chance", "low", "high", "documents")


def expert_partners(
    pairs: pd.DataFrame, load: pd.DataFrame, tokens: pd.DataFrame, sample: RoutingSample, layer: int, expert: int
) -> pd.DataFrame:
    """pairs, load, tokens: of the run, as `queries.coactivation`, `expert_load`, `layer_tokens` -> COLUMNS, the SHOWN
    partners furthest from chance, most together first. over_chance: lift over that of all pairs of the layer; the width
    of its interval comes from the documents of the sample; expected: common tokens if the two were independent."""
    here = (frame[frame["layer"] == layer] for frame in (pairs, load, tokens))
    rows = partner_lifts(*here)
    rows = rows[(rows["first"] == expert) | (rows["second"] == expert)].head(SHOWN).reset_index(drop=True)
    rows = with_intervals(rows, sample)
    rows["expert_id"] = (rows["first"] + rows["second"] - expert).astype("int64")
    return rows.sort_values("over_chance", ascending=False, kind="stable", ignore_index=True)[list(COLUMNS)]
