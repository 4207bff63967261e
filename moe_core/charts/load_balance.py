"""Where the load of the experts goes: heatmap over layers, assignments beside gate mass, evenness by layer."""

import math

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Translate, empty, figure, palette

HEATMAP_RANGE = 2.0  # log2: the colours end at 1/4x and 4x
OUTLIERS = 3


def load_heatmap(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, expert_id, n, load_over_ideal, status) -> layers x experts, log2 colours around 1x.

    The busiest three cells carry their number; an expert that never ran carries a 0.
    """
    if frame.empty:
        return empty(t("No decision in this selection"), dark=dark)
    colours = palette(dark)
    wide = frame.pivot(index="layer", columns="expert_id", values="load_over_ideal")
    counts = frame.pivot(index="layer", columns="expert_id", values="n")
    layers, experts = [int(v) for v in wide.index], [int(v) for v in wide.columns]
    ratios = wide.to_numpy()
    z = [[_log2(value) for value in row] for row in ratios]
    fig = figure(dark=dark, height=70 + 40 * max(len(layers), 3), left=44, right=12, top=8, bottom=40)
    # z stays within +-HEATMAP_RANGE so that one hot expert does not bleach all other cells
    fig.add_trace(
        go.Heatmap(
            z=z,
            x=[f"E{e}" for e in experts],
            y=[f"L{layer}" for layer in layers],
            zmin=-HEATMAP_RANGE,
            zmax=HEATMAP_RANGE,
            colorscale=[list(stop) for stop in colours.diverging],
            xgap=2,
            ygap=2,
            customdata=[
                [[float(r), int(c)] for r, c in zip(rs, cs, strict=True)]
                for rs, cs in zip(ratios, counts.to_numpy(), strict=True)
            ],
            hovertemplate="%{y} · %{x}<br>%{customdata[0]:.2f}×<br>n = %{customdata[1]:,}<extra></extra>",
            colorbar={
                "tickvals": [-2, -1, 0, 1, 2],
                "ticktext": ["≤ ¼×", "½×", "1×", "2×", "≥ 4×"],
                "thickness": 12,
                "len": 0.96,
                "outlinewidth": 0,
                "tickfont": {"color": colours.muted, "size": 12},
                "ticks": "",
                "x": 1.01,
            },
        )
    )
    fig.add_trace(_places(frame, len(experts)))
    top = frame.sort_values("load_over_ideal", ascending=False).head(OUTLIERS)
    for row in pd.concat([top[top["load_over_ideal"] >= 1.2], frame[frame["n"] == 0]]).itertuples():
        text = "0" if row.n == 0 else f"{row.load_over_ideal:.1f}×"
        strong = abs(_log2(row.load_over_ideal)) > 1.1
        ink = ("#0E141B" if dark else "#14202E") if strong and row.n else colours.ink
        if row.n == 0:
            ink = "#0E141B" if dark else "#FFFFFF"
        fig.add_annotation(
            x=f"E{int(row.expert_id)}",
            y=f"L{int(row.layer)}",
            text=text,
            showarrow=False,
            font={"size": 12, "color": ink, "weight": 600},
        )
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(showgrid=False, title_text=t("Expert"))
    return fig


def _places(frame: pd.DataFrame, n_experts: int) -> go.Scatter:
    """An unseen point in the middle of every cell: a heatmap itself cannot be clicked in Streamlit."""
    return go.Scatter(
        x=[f"E{e}" for e in frame["expert_id"]], y=[f"L{layer}" for layer in frame["layer"]], mode="markers",
        marker={"symbol": "square", "size": max(8, min(34, 700 // max(n_experts, 1))), "opacity": 0},
        selected={"marker": {"opacity": 0}}, unselected={"marker": {"opacity": 0}},
        customdata=frame[["load_over_ideal", "n", "layer", "expert_id"]].to_numpy().tolist(),
        hovertemplate="%{y} · %{x}<br>%{customdata[0]:.2f}×<br>n = %{customdata[1]:,}<extra></extra>",
    )  # fmt: skip


def load_heatmap_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The heatmap in one sentence."""
    if frame.empty:
        return t("No decision in this selection")
    top = frame.loc[frame["load_over_ideal"].idxmax()]
    return t(
        "Heatmap of load against an equal share for {layers} layers and {experts} experts: the busiest is expert "
        "{expert} of layer {layer} with {ratio:.1f} times its equal share."
    ).format(
        layers=frame["layer"].nunique(),
        experts=frame["expert_id"].nunique(),
        expert=int(top["expert_id"]),
        layer=int(top["layer"]),
        ratio=float(top["load_over_ideal"]),
    )


def load_and_gate(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (expert_id, n, load_over_ideal, gate_over_ideal) of one layer -> circles and diamonds per expert."""
    if frame.empty:
        return empty(t("No decision in this selection"), dark=dark)
    colours = palette(dark)
    rows = frame.sort_values("expert_id")
    x = [f"E{int(e)}" for e in rows["expert_id"]]
    fig = figure(dark=dark, height=330, left=56, right=20, top=44, bottom=44)
    for low, high, label in zip(rows["load_over_ideal"], rows["gate_over_ideal"], x, strict=True):
        fig.add_shape(
            type="line", x0=label, x1=label, y0=low, y1=high, layer="below", line={"color": colours.border, "width": 4}
        )
    fig.add_hline(y=1.0, line={"color": colours.muted, "width": 1, "dash": "dash"}, layer="below")
    for column, name, colour, symbol in (
        ("load_over_ideal", t("Assignments"), colours.adaptive, "circle"),
        ("gate_over_ideal", t("Gate mass"), colours.dense, "diamond-open"),
    ):
        fig.add_trace(
            go.Scatter(
                x=x,
                y=rows[column],
                name=name,
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": colour}},
                cliponaxis=False,
                customdata=rows["n"],
                hovertemplate="%{x} · " + name + "<br>%{y:.2f}×<br>n = %{customdata:,}<extra></extra>",
            )
        )
    fig.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": colours.ink}},
    )
    top = max(1.2, float(rows[["load_over_ideal", "gate_over_ideal"]].max().max()))
    fig.update_yaxes(range=[-0.07 * top, 1.1 * top], ticksuffix="×", title_text=t("× equal share"))
    fig.update_xaxes(showgrid=False, title_text=t("Expert"))
    return fig


def load_and_gate_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The two measures of one layer in one sentence."""
    if frame.empty:
        return t("No decision in this selection")
    low, high = frame["load_over_ideal"].min(), frame["load_over_ideal"].max()
    gap = (frame["load_over_ideal"] - frame["gate_over_ideal"]).abs().max()
    return t(
        "Load per expert from {low:.1f} to {high:.1f} times an equal share; gate mass differs from it by at most "
        "{gap:.2f}."
    ).format(low=float(low), high=float(high), gap=float(gap))


def evenness_by_layer(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, tokens, load_entropy, load_gini) -> two lines over the layers, labelled at their ends."""
    if frame.empty:
        return empty(t("No decision in this selection"), dark=dark)
    colours = palette(dark)
    x = [f"L{int(layer)}" for layer in frame["layer"]]
    fig = figure(dark=dark, height=412, left=44, right=150, top=16, bottom=44)
    for column, name, colour, symbol in (
        ("load_entropy", t("Normalised entropy"), colours.adaptive, "circle"),
        ("load_gini", t("Gini"), colours.dense, "diamond"),
    ):
        fig.add_trace(
            go.Scatter(
                x=x,
                y=frame[column],
                name=name,
                mode="lines+markers",
                line={"color": colour, "width": 2.5},
                marker={"symbol": symbol, "size": 9},
                customdata=frame["tokens"],
                hovertemplate="%{x} · " + name + "<br>%{y:.3f}<br>n = %{customdata:,}<extra></extra>",
            )
        )
        fig.add_annotation(
            x=x[-1],
            y=float(frame[column].iloc[-1]),
            text=name,
            showarrow=False,
            xanchor="left",
            xshift=12,
            font={"color": colour, "size": 13, "weight": 600},
        )
    fig.update_yaxes(range=[0, 1.04], dtick=0.25)
    fig.update_xaxes(showgrid=False, title_text=t("Layer"))
    return fig


def evenness_by_layer_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Evenness over the layers in one sentence."""
    if frame.empty:
        return t("No decision in this selection")
    lowest = frame.loc[frame["load_entropy"].idxmin()]
    return t("Normalised entropy of the load by layer; lowest in layer {layer} with {value:.3f}.").format(
        layer=int(lowest["layer"]), value=float(lowest["load_entropy"])
    )


def _log2(ratio: float) -> float:
    """log2 within the colour range; an expert that never ran sits at its lower end."""
    if ratio <= 0:
        return -HEATMAP_RANGE
    return min(max(math.log2(ratio), -HEATMAP_RANGE), HEATMAP_RANGE)
