"""Which decision of a text is explained: token, layer, expert; all of them are in the link."""

from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from moe_core.analysis.trace import trace_arrays
from moe_core.dashboard import filters, resources, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.live_run import answer_trace
from moe_core.dashboard.routing_canvas import canvas_data, routing_canvas
from moe_core.dashboard.why_source import Source
from moe_core.model.requests import TextRequest

TOKEN, AT = "why_token", "why_at"  # (identity, position); what the expert was chosen for
LAYER = "why_layer"  # a widget's key, so gone when the visitor comes from another page


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One decision; token: its piece as the model reads it."""

    position: int
    layer: int
    expert_id: int
    token: str


def routed(ctx: PageContext, source: Source) -> pd.DataFrame:
    """The text's trace with every expert, computed now. Raises InputError for a text that cannot be read."""
    kept = st.session_state.get("why_trace")
    key = (str(ctx.model), source)
    if kept is None or kept[0] != key:
        with resources.inference():
            session = resources.model(ctx).session(replace(source.setting, keep_traces=True))
            answer = session.answer([TextRequest(text=source.text)])[0]
        kept = (key, answer_trace(answer))
        st.session_state["why_trace"] = kept
    trace: pd.DataFrame = kept[1]
    return trace


def choose_decision(ctx: PageContext, source: Source, trace: pd.DataFrame) -> Choice:
    """Token chips, layer and expert."""
    t = ctx.t
    n_layers, n_experts = int(trace["layer"].max()) + 1, int(trace["expert_id"].max()) + 1
    arrays = trace_arrays(trace, n_layers=n_layers, n_experts=n_experts)
    if LAYER not in st.session_state:  # a link decides, not what was chosen here before
        st.session_state.pop(TOKEN, None)
        st.session_state.pop(AT, None)
    position = _position(source, trace, len(arrays.tokens))
    with widgets.card(
        t("Which decision?"),
        t("Choose a token, a layer and an expert. Number on a token: experts that ran over all layers. ## continues a "
          "word."),
        key="why_choice",
    ):  # fmt: skip
        clicked = routing_canvas(
            canvas_data(arrays, selected=position, t=t, dark=ctx.dark, chips_only=True), key="why_chips"
        )
        if clicked is not None and clicked != position and clicked < len(arrays.tokens):
            st.session_state[TOKEN] = (source.identity, clicked)
            st.rerun()
        st.session_state[TOKEN] = (source.identity, position)
        filters.share("position", str(position))
        left, right, _ = st.columns([2, 3, 3])
        with left:
            names = [str(layer) for layer in range(n_layers)]
            layer = int(
                filters.choice(
                    t("Layer"), names, {name: t("Layer {layer}").format(layer=name) for name in names},
                    key=LAYER, parameter="layer", default=str(n_layers // 2), always=True,
                )
            )  # fmt: skip
        rows = trace[(trace["position"] == position) & (trace["layer"] == layer)].set_index("expert_id")
        with right:
            expert_id = _expert(ctx, source, position, layer, rows)
    return Choice(position=position, layer=layer, expert_id=expert_id, token=arrays.tokens[position])


def _position(source: Source, trace: pd.DataFrame, n_tokens: int) -> int:
    """The token chosen before, else the link's, else the first for which the link's expert ran, else the longest."""
    identity, position = st.session_state.get(TOKEN, ("", -1))
    if identity == source.identity and position < n_tokens:
        return int(position)
    linked = st.query_params.get("position", "")
    if identity == "" and linked.isdecimal() and int(linked) < n_tokens:
        return int(linked)
    ordinary = trace[~trace["is_special"]]
    layer, expert = st.query_params.get("layer", ""), st.query_params.get("expert", "")
    if identity == "" and layer.isdecimal() and expert.isdecimal():
        ran = ordinary[
            ordinary["selected"] & (ordinary["layer"] == int(layer)) & (ordinary["expert_id"] == int(expert))
        ]
        if len(ran):
            return int(ran["position"].iloc[0])
    words = ordinary.drop_duplicates("position")
    return int(words.loc[words["token"].str.len().idxmax(), "position"]) if len(words) else 0


def _expert(ctx: PageContext, source: Source, position: int, layer: int, rows: pd.DataFrame) -> int:
    """rows: trace of one token in one layer by expert. To begin with, the closest call among those that ran."""
    t, here = ctx.t, (source.identity, position, layer)
    if st.session_state.get(AT, here) != here:
        st.session_state.pop("why_expert", None)
        st.query_params.pop("expert", None)
    st.session_state[AT] = here
    ran = rows[rows["selected"]]
    closest = (ran if len(ran) else rows)["margin"].abs().idxmin()
    runs, waits = t("expert {expert}: runs, score {score:.3f}"), t("expert {expert}: does not run, score {score:.3f}")
    labels = {
        str(expert): (runs if row["selected"] else waits).format(expert=expert, score=row["score"])
        for expert, row in rows.iterrows()
    }
    chosen = filters.choice(t("Expert"), list(labels), labels, key="why_expert", parameter="expert",
                            default=str(closest), always=True)  # fmt: skip
    return int(chosen)
