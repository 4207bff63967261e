"""Experts or tokens as points on a map, how stable their clusters are, and routing over the steps of training."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import OKABE_ITO, Translate, empty, figure, palette, plain

# Points are drawn as SVG: a map has at most a thousand, and WebGL charts need a looser content security policy.
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "hexagon")
FAINT = 0.25
COLOURS = (OKABE_ITO[:7], ("#56B4E9", "#E69F00", "#3CC59B", "#F28A45", "#E39CC2", "#8FA8FF", "#F0E442"))  # light, dark


def cluster_map(
    frame: pd.DataFrame, names: Mapping[int, str], *, chosen: int | None = None, t: Translate = str, dark: bool = False
) -> go.Figure:
    """frame (x, y, cluster, label) one row per point -> points by cluster; other clusters than `chosen` are faint.
    `names`: of the clusters. Each point carries its cluster and its row for a click."""
    if frame.empty:
        return empty(t("Nothing to show on a map"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=430, left=16, right=16, top=44, bottom=16)
    rows = frame.assign(row=range(len(frame)))
    for number, part in rows.groupby("cluster"):
        k = int(str(number))
        colour = COLOURS[dark][k % 7]
        fig.add_trace(
            go.Scatter(
                x=part["x"], y=part["y"], mode="markers", name=plain(names.get(k, str(k))),
                marker={
                    "color": colour, "symbol": SYMBOLS[k % len(SYMBOLS)], "size": 9 if len(rows) < 300 else 7,
                    "opacity": 0.85 if chosen in (None, k) else FAINT, "line": {"width": 0.5, "color": colours.card},
                },
                text=[plain(label) for label in part["label"]], customdata=part[["cluster", "row"]].to_numpy().tolist(),
                hovertemplate="%{text}<extra></extra>",
            )
        )  # fmt: skip
    fig.update_layout(
        showlegend=len(names) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": colours.ink}},
    )
    fig.update_xaxes(showticklabels=False)
    fig.update_yaxes(showticklabels=False)
    return fig


def cluster_map_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The map in one sentence."""
    if frame.empty:
        return t("Nothing to show on a map")
    return t("Map of {n:,} points in {clusters} clusters; near points have similar routing.").format(
        n=len(frame), clusters=frame["cluster"].nunique()
    )


def stability_curve(
    frame: pd.DataFrame, *, least: float, chosen: int, t: Translate = str, dark: bool = False
) -> go.Figure:
    """frame (n_clusters, stability, low, high, null) -> stability by number of clusters, beside that of one cloud.
    `least`: what is asked for; `chosen`: marked, 1 where no number is stable."""
    if frame.empty:
        return empty(t("Too few points for clusters"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=250, left=48, right=16, top=40, bottom=44)
    fig.add_hline(y=least, line={"color": colours.muted, "width": 1, "dash": "dash"}, layer="below")
    for column, name, colour, dash, symbol in (
        ("stability", t("These points"), colours.adaptive, "solid", "circle"),
        ("null", t("One cloud without clusters"), colours.dense, "dot", "diamond-open"),
    ):
        fig.add_trace(
            go.Scatter(
                x=frame["n_clusters"], y=frame[column], name=name, mode="lines+markers",
                line={"color": colour, "width": 2.5, "dash": dash},
                marker={"size": [13 if k == chosen and column == "stability" else 8 for k in frame["n_clusters"]],
                        "symbol": symbol},
                error_y=None if column == "null" else {
                    "type": "data", "symmetric": False, "array": frame["high"] - frame["stability"],
                    "arrayminus": frame["stability"] - frame["low"], "thickness": 1, "width": 3, "color": colours.muted,
                },
                hovertemplate="%{x}: %{y:.2f}<extra></extra>",
            )
        )  # fmt: skip
    fig.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": colours.ink, "size": 12}},
    )
    fig.update_yaxes(range=[min(0.0, float(frame["low"].min())), 1.05], dtick=0.25)
    fig.update_xaxes(dtick=1, showgrid=False, title_text=t("Number of clusters"))
    return fig


def stability_curve_alt(frame: pd.DataFrame, *, chosen: int, t: Translate = str) -> str:
    """Stability in one sentence."""
    if frame.empty:
        return t("Too few points for clusters")
    if chosen < 2:
        return t("No number of clusters is stable; the most stable one reaches {value:.2f}.").format(
            value=float(frame["stability"].max())
        )
    value = float(frame.loc[frame["n_clusters"] == chosen, "stability"].iloc[0])
    return t("{n} clusters come out the same again with a stability of {value:.2f}.").format(n=chosen, value=value)


def saturation(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (step, layer, agreement, low, high) -> a line per layer over the steps of training, bars are intervals."""
    if frame.empty:
        return empty(t("No checkpoint was measured"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=330, left=56, right=24, top=12, bottom=44)
    starts: list[float] = []
    ordered = frame.sort_values(["layer", "step"])
    for number, rows in sorted(ordered.groupby("layer"), key=lambda pair: float(pair[1]["agreement"].iloc[0])):
        layer = int(str(number))
        steps = [f"{step:,}" for step in rows["step"]]  # side by side: they lie ever further apart
        colour = COLOURS[dark][layer % 7]
        fig.add_trace(
            go.Scatter(
                x=steps, y=rows["agreement"], mode="lines+markers", name=f"L{layer}",
                line={"color": colour, "width": 2}, marker={"symbol": SYMBOLS[layer % len(SYMBOLS)], "size": 7},
                error_y={
                    "type": "data", "symmetric": False, "array": rows["high"] - rows["agreement"],
                    "arrayminus": rows["agreement"] - rows["low"], "thickness": 1, "width": 2, "color": colour,
                },
                hovertemplate=f"L{layer} · %{{x}}<br>%{{y:.1%}}<extra></extra>",
            )
        )  # fmt: skip
        starts.append(max(float(rows["agreement"].iloc[0]), (starts[-1] + 0.05) if starts else 0.0))
        fig.add_annotation(
            x=steps[0], y=starts[-1], text=f"L{layer}", showarrow=False, xanchor="right", xshift=-10,
            font={"color": colours.ink, "size": 12},
        )  # fmt: skip
    top = max(1.05, starts[-1] + 0.03)
    fig.update_yaxes(range=[min(0.0, float(frame["low"].min())), top], tickformat=".0%", dtick=0.25)
    fig.update_xaxes(showgrid=False, title_text=t("Step of training"), type="category")
    return fig


def saturation_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Saturation in one sentence."""
    if frame.empty:
        return t("No checkpoint was measured")
    first = frame[frame["step"] == frame["step"].min()]["agreement"]
    return t(
        "Agreement with the final routing by step of training: {low:.0%} to {high:.0%} at the first checkpoint."
    ).format(
        low=float(first.min()), high=float(first.max())
    )  # fmt: skip
