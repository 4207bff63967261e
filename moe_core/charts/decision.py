"""One token's decisions: what the router expected of every expert, layer by layer, against the threshold."""

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Translate, empty, figure, palette


def token_scores(
    frame: pd.DataFrame, *, t: Translate = str, dark: bool = False, n_experts: int | None = None
) -> go.Figure:
    """frame (layer, expert_id, score, threshold, selected) of one token -> one row of bars per layer.

    `n_experts` keeps a place for experts that were not recorded. Full colour = the expert ran, pale = it did not;
    the tick across a bar's cell is the threshold.
    """
    if frame.empty:
        return empty(t("No decision for this token"), dark=dark)
    colours = palette(dark)
    layers = sorted(int(v) for v in frame["layer"].unique())
    fig = figure(dark=dark, height=60 + 62 * len(layers), left=44, right=16, top=8, bottom=40)
    for index, layer in enumerate(layers):
        rows = frame[frame["layer"] == layer].sort_values("expert_id")
        base = float(len(layers) - 1 - index)
        ran = rows["selected"].astype(bool)
        fig.add_trace(
            go.Bar(
                x=rows["expert_id"],
                y=rows["score"] * 0.84,
                base=base,
                width=0.72,
                marker={
                    "color": [colours.adaptive if on else colours.grid for on in ran],
                    "line": {"width": 0},
                },
                customdata=rows[["score", "threshold"]].assign(
                    margin=rows["score"] - rows["threshold"],
                    ran=[t("ran") if on else t("did not run") for on in ran],
                ),
                hovertemplate=(
                    f"L{layer} · "
                    + "E%{x}<br>%{customdata[3]}<br>"
                    + t("score")
                    + " %{customdata[0]:.3f}<br>"
                    + t("threshold")
                    + " %{customdata[1]:.3f}<br>"
                    + t("margin")
                    + " %{customdata[2]:+.3f}<extra></extra>"
                ),
            )
        )
        fig.add_trace(
            go.Scatter(
                x=rows["expert_id"],
                y=base + rows["threshold"] * 0.84,
                mode="markers",
                marker={"symbol": "line-ew", "size": 20, "line": {"width": 2, "color": colours.dense}},
                hoverinfo="skip",
            )
        )
    fig.update_layout(barmode="overlay")
    fig.update_yaxes(
        tickvals=[len(layers) - 0.7 - i for i in range(len(layers))],
        showgrid=False,
        ticktext=[f"L{layer}" for layer in layers],
        range=[-0.02, len(layers) - 0.06],
    )
    places = n_experts or int(frame["expert_id"].max()) + 1
    fig.update_xaxes(
        showgrid=False,
        title_text=t("Expert"),
        tickprefix="E",
        dtick=1 if places <= 16 else 4,
        range=[-0.6, places - 0.4],
    )
    return fig


def token_scores_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """One token's decisions in one sentence."""
    if frame.empty:
        return t("No decision for this token")
    return t("Bars of expected contribution per layer and expert: {ran} of {total} experts ran for this token.").format(
        ran=int(frame["selected"].astype(bool).sum()), total=len(frame)
    )
