"""From anywhere to the card of an expert, and from the card to a request."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from moe_core.dashboard import widgets
from moe_core.dashboard.context import PAGES, PageContext

CARD = PAGES / "expert_card.py"
EXPLANATION = PAGES / "why_this_expert.py"
AUDIT_LOG = PAGES / "audit_log.py"
RUN_KEY, LAYER_KEY, EXPERT_KEY = "expert_run", "expert_layer", "expert_expert"


def open_card(run_id: str, layer: int, expert: int) -> None:
    """Go to the card now; without a run it is that of the one which the card takes by itself."""
    for key in (RUN_KEY, LAYER_KEY, EXPERT_KEY):
        st.session_state.pop(key, None)  # what the card showed before must not win over the link
    where = {"layer": str(layer), "expert": str(expert)}
    st.switch_page(CARD, query_params={"run": run_id, **where} if run_id else where)


def request_target(row: Mapping[str, object], run_id: str, layer: int, expert: int) -> tuple[object, dict[str, str]]:
    """(page, query) for a request at a position: its explanation where there is that page, else the audit log."""
    if EXPLANATION.exists():
        return EXPLANATION, {
            "run": run_id, "request": str(row["request_id"]), "position": str(row["position"]), "layer": str(layer),
            "expert": str(expert),
        }  # fmt: skip
    return AUDIT_LOG, {"request": str(row["request_id"])}


def follow_click(chart_key: str, run_id: str) -> None:
    """Open the card of the expert that was clicked in a chart, if one was: its points carry (.., layer, expert) at the
    end of their customdata."""
    clicked = st.session_state.get(chart_key)
    points = clicked["selection"]["points"] if clicked else []
    if points and len(points[0].get("customdata") or ()) >= 2:
        layer, expert = points[0]["customdata"][-2:]
        open_card(run_id, int(layer), int(expert))


def card_rows(
    ctx: PageContext, shown: pd.DataFrame, experts: pd.DataFrame, run_id: str, *, key: str, height: int = 320,
    wide: Sequence[str] = (),
) -> None:  # fmt: skip
    """A table of which a row opens the card of its expert. shown: what is read; experts (layer, expert_id): the same
    rows."""
    chosen = widgets.choose_row(shown, key=key, height=height, wide=wide)
    st.caption(ctx.t("Choose a row to open that expert's card."))
    if chosen is not None:
        row = experts.iloc[chosen]
        open_card(run_id, int(row["layer"]), int(row["expert_id"]))


def nothing() -> None:
    """For charts that are clicked: the page runs again and follows the click itself."""
