"""One request's routing on a page: the map, then the chosen token's experts, then the same numbers as tables."""

import pandas as pd
import streamlit as st

from moe_core.analysis.trace import experts_per_token, token_decisions, trace_arrays
from moe_core.charts import decision
from moe_core.dashboard import expert_link, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.flags import flag_words
from moe_core.dashboard.routing_canvas import canvas_data, routing_canvas
from moe_core.dashboard.why_link import why_link


@st.fragment
def routing_view(
    ctx: PageContext, trace: pd.DataFrame, *, n_layers: int, n_experts: int, key: str, request: str, run_id: str = "",
    recorded: bool = True,
) -> None:  # fmt: skip
    """Map, token and tables of one trace; reruns on its own when a token is chosen. Another `request` starts with its
    first ordinary token; a `recorded` one has a link to the explanation of its decisions. `run_id`: whose experts they
    are; empty where nothing was recorded."""
    t = ctx.t
    arrays = trace_arrays(trace, n_layers=n_layers, n_experts=n_experts)
    state = f"{key}_token"
    shown, chosen = st.session_state.get(state, ("", 0))
    if shown != request or chosen >= len(arrays.tokens):
        chosen = _first_ordinary(arrays.is_special)
    with widgets.card(
        t("Which experts ran for which token?"),
        t("Choose a token to see its decisions. Number on a token = experts run over all layers; ## continues a word."),
        key=f"{key}_map",
    ):
        clicked = routing_canvas(canvas_data(arrays, selected=chosen, t=t, dark=ctx.dark), key=f"{key}_canvas")
    if clicked is not None and clicked != chosen:
        st.session_state[state] = (request, clicked)
        st.rerun(scope="fragment")
    explained = request if recorded else None
    _token_card(
        ctx, trace, chosen, arrays.tokens[chosen], n_experts=n_experts, key=key, run_id=run_id, request=explained
    )
    _tables(ctx, trace, key=key)


def _token_card(
    ctx: PageContext, trace: pd.DataFrame, position: int, token: str, *, n_experts: int, key: str, run_id: str,
    request: str | None,
) -> None:  # fmt: skip
    t = ctx.t
    rows = token_decisions(trace, position)
    left, right = widgets.chart_columns([1, 1], key=key)
    with (
        left,
        widgets.card(
            t("Why did these experts run for this token?"),
            t(
                "Bar = expected contribution (1 = strongest expert), tick = threshold; an expert runs if its bar "
                "passes it."
            ),
            key=f"{key}_scores",
        ),
    ):
        _token_name(ctx, position, token, key=key)
        if request is not None:
            why_link(ctx, t("Explain one of these decisions"), request=request, position=position)
        widgets.chart(
            decision.token_scores(rows, t=t, dark=ctx.dark, n_experts=n_experts),
            key=f"{key}_scores_chart",
            alt=decision.token_scores_alt(rows, t=t),
        )
    with (
        right,
        widgets.card(
            t("The same decisions as numbers"),
            t("By layer; experts that ran first, then by falling score."),
            key=f"{key}_token_table",
        ),
    ):
        shown = decision_table(ctx, rows).drop(columns=["position", "token"])
        if run_id:
            expert_link.card_rows(ctx, shown, rows, run_id, key=f"{key}_token_rows_{position}", height=438)
        else:
            widgets.table(shown, key=f"{key}_token_rows", height=438)


def _token_name(ctx: PageContext, position: int, token: str, *, key: str) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"inline_code_{key}_token"):
        st.markdown(ctx.t("Token at position {position}:").format(position=position), width="content")
        st.code(token or ctx.t("(erased)"), language=None, width="content")


def _tables(ctx: PageContext, trace: pd.DataFrame, *, key: str) -> None:
    t = ctx.t
    with widgets.card(
        t("All tokens as a table"),
        t("Experts that ran, by token and layer; the same numbers as the map."),
        key=f"{key}_all",
    ):
        counts = experts_per_token(trace).rename(
            columns={"position": t("Position"), "token": t("Token"), "total": t("All layers")}
        )
        widgets.table(counts, key=f"{key}_counts", height=280)
        widgets.csv_download(ctx, trace, file_name="decisions.csv", key=f"{key}_download")


def decision_table(ctx: PageContext, rows: pd.DataFrame) -> pd.DataFrame:
    """A trace's rows with headings and flags in the visitor's language, numbers rounded for reading."""
    t = ctx.t
    return pd.DataFrame(
        {
            "position": rows["position"],
            "token": rows["token"],
            t("Layer"): rows["layer"],
            t("Expert"): rows["expert_id"],
            t("Ran"): [t("yes") if ran else t("no") for ran in rows["selected"]],
            t("Score"): rows["score"].round(3),
            t("Threshold"): rows["threshold"].round(3),
            t("Margin"): rows["margin"].round(3),
            t("Gate weight"): rows["gate_weight"].round(3),
            t("Notes"): [flag_words(int(flags), t) for flags in rows["flags"]],
        }
    )


def _first_ordinary(is_special: tuple[bool, ...]) -> int:
    return next((i for i, special in enumerate(is_special) if not special), 0)
