"""An edit against neutral swaps: in which layers unchanged words run other experts."""

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Translate, empty, figure, palette


def changes_by_layer(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, tokens, changed, share, neutral, neutral_low, neutral_high) -> one bar per layer for the edit, a
    diamond with its range for the neutral swaps (left out where there are none)."""
    if frame.empty:
        return empty(t("No decision to compare"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=340, left=64, right=24, top=12, bottom=48)
    names = [f"L{int(layer)}" for layer in frame["layer"]]
    fig.add_trace(
        go.Bar(
            x=names,
            y=frame["share"],
            width=0.6,
            marker={"color": colours.adaptive, "line": {"width": 0}},
            customdata=frame[["changed", "tokens"]].to_numpy().tolist(),
            hovertemplate="%{x}: %{y:.0%}<br>%{customdata[0]:,} / %{customdata[1]:,}<extra></extra>",
        )
    )
    known = frame[frame["neutral"].notna()]
    if not known.empty:
        fig.add_trace(
            go.Scatter(
                x=[f"L{int(layer)}" for layer in known["layer"]],
                y=known["neutral"],
                mode="markers",
                marker={
                    "symbol": "diamond",
                    "size": 11,
                    "color": colours.dense,
                    "line": {"width": 1, "color": colours.card},
                },
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": (known["neutral_high"] - known["neutral"]).tolist(),
                    "arrayminus": (known["neutral"] - known["neutral_low"]).tolist(),
                    "color": colours.dense,
                    "thickness": 2,
                    "width": 6,
                },
                customdata=known[["neutral_low", "neutral_high"]].to_numpy().tolist(),
                hovertemplate=(
                    t("neutral swaps") + " %{y:.0%}<br>%{customdata[0]:.0%} – %{customdata[1]:.0%}<extra></extra>"
                ),
            )
        )
    top = float(frame[["share", "neutral_high"]].max(axis=None))
    fig.update_yaxes(
        tickformat=".0%", range=[0, max(0.05, 1.12 * top)], title_text=t("Unchanged tokens with other experts")
    )
    fig.update_xaxes(showgrid=False, title_text=t("Layer"))
    return fig


def changes_by_layer_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The layer that changes most, in one sentence."""
    if frame.empty:
        return t("No decision to compare")
    most = frame.loc[frame["share"].idxmax()]
    return t("Changed routing by layer: most in layer {layer}, {share:.0%} of n = {n} unchanged tokens.").format(
        layer=int(most["layer"]), share=float(most["share"]), n=int(most["tokens"])
    )
