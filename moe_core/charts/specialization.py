"""What experts run for: lifts by feature and expert, pairs of experts, agreement of layers.

What is called is at full strength, what is not is faded: strength and the table say it, not colour alone.
"""

import math

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Translate, empty, figure, palette, plain

COLOUR_RANGE = 2.0  # log2: the colours end at 1/4x and 4x
FADED = 0.22
MOST_PAIRS = 16
FLOOR = 2.0**-6  # of a ratio on the log axis


def lift_heatmap(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (label, layer, expert_id, lift, low, high, n, called) one row per feature and expert, features in the order
    of the rows -> features x experts, log2 colours around 1x; cells that are not called are faded."""
    if frame.empty:
        return empty(t("Nothing to compare in this selection"), dark=dark)
    colours = palette(dark)
    labels = list(dict.fromkeys(frame["label"]))
    experts = frame[["layer", "expert_id"]].drop_duplicates().sort_values(["layer", "expert_id"])
    columns = [f"{row.layer}:{row.expert_id}" for row in experts.itertuples()]
    rows = frame.assign(column=[f"{a}:{b}" for a, b in zip(frame["layer"], frame["expert_id"], strict=True)])
    longest = max(len(label) for label in labels)
    fig = figure(dark=dark, height=96 + 26 * len(labels), left=min(40 + 7 * longest, 260), right=16, top=8, bottom=48)
    shape = {"index": "label", "columns": "column"}
    wide = {name: rows.pivot(**shape, values=name).loc[labels, columns] for name in ("lift", "low", "high", "n")}
    called = rows.pivot(**shape, values="called").loc[labels, columns].to_numpy(bool)
    z = [[_log2(value) for value in row] for row in wide["lift"].to_numpy()]
    details = [
        [
            [wide["lift"].iat[i, j], wide["low"].iat[i, j], wide["high"].iat[i, j], wide["n"].iat[i, j]]
            for j in range(len(columns))
        ]
        for i in range(len(labels))
    ]
    interval = t("95% interval {low} to {high}").format(low="%{customdata[1]:.2f}", high="%{customdata[2]:.2f}")
    hover = "%{y} · %{x}<br>%{customdata[0]:.2f}×<br>" + interval + "<br>n = %{customdata[3]:,}<extra></extra>"
    for shown, opacity in ((~called, FADED), (called, 1.0)):
        fig.add_trace(
            go.Heatmap(
                z=[[value if keep else None for value, keep in zip(*pair, strict=True)]
                   for pair in zip(z, shown, strict=True)],
                x=columns, y=[plain(label) for label in labels], zmin=-COLOUR_RANGE, zmax=COLOUR_RANGE,
                colorscale=[list(stop) for stop in colours.diverging], xgap=1, ygap=1, opacity=opacity,
                customdata=details, hovertemplate=hover, hoverongaps=False, showscale=opacity == 1.0,
                colorbar={
                    "tickvals": [-2, -1, 0, 1, 2], "ticktext": ["≤ ¼×", "½×", "1×", "2×", "≥ 4×"], "thickness": 12,
                    "len": 0.96, "outlinewidth": 0, "tickfont": {"color": colours.muted, "size": 12}, "ticks": "",
                    "x": 1.01,
                },
            )
        )  # fmt: skip
    first = [i for i, row in enumerate(experts.itertuples()) if i == 0 or row.layer != experts["layer"].iat[i - 1]]
    for place in first[1:]:
        fig.add_vline(x=place - 0.5, line={"color": colours.muted, "width": 1})
    many = len(columns) > 24
    if many:
        ticks = first if len(first) > 1 else list(range(0, len(columns), max(1, len(columns) // 12)))
        names = [f"L{experts['layer'].iat[i]}" if len(first) > 1 else columns[i] for i in ticks]
        fig.update_xaxes(tickvals=[columns[i] for i in ticks], ticktext=names)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(showgrid=False, type="category", title_text=t("Expert (layer:expert)"))
    return fig


def lift_heatmap_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The heatmap in one sentence."""
    if frame.empty:
        return t("Nothing to compare in this selection")
    called = frame[frame["called"]]
    if called.empty:
        return t("Heatmap of {cells:,} lifts; none is called specialization.").format(cells=len(frame))
    top = called.loc[called["lift"].idxmax()]
    return t(
        "Heatmap of {cells:,} lifts, {called:,} of them called; the highest is expert {expert} for {label} with "
        "{lift:.1f}×."
    ).format(
        cells=len(frame), called=len(called), expert=f"{int(top['layer'])}:{int(top['expert_id'])}",
        label=top["label"], lift=float(top["lift"]),
    )  # fmt: skip


def partner_pairs(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, first, second, n, over_chance, low, high) -> the most surprising pairs, with intervals."""
    rows = frame.head(MOST_PAIRS).sort_values("over_chance")
    if rows.empty:
        return empty(t("No pair of experts in this selection"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=90 + 22 * len(rows), left=110, right=64, top=8, bottom=44)
    names = [f"L{row.layer}: {row.first} + {row.second}" for row in rows.itertuples()]
    together = rows["over_chance"] >= 1
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1}, layer="below")
    value, low, high = (
        rows[name].fillna(rows["over_chance"]).clip(lower=FLOOR).map(math.log2)
        for name in ("over_chance", "low", "high")
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=value, y=names, mode="markers",
            marker={
                "color": [colours.dense if more else colours.adaptive for more in together], "size": 10,
                "symbol": ["diamond" if more else "circle" for more in together],
            },
            error_x={
                "type": "data", "symmetric": False, "array": high - value, "arrayminus": value - low, "thickness": 1.5,
                "width": 3, "color": colours.muted,
            },
            customdata=[[int(n), float(v)] for n, v in zip(rows["n"], rows["over_chance"], strict=True)],
            hovertemplate="%{y}<br>%{customdata[1]:.2f}×<br>n = %{customdata[0]:,}<extra></extra>",
        )
    )  # fmt: skip
    for name, end, shown in zip(names, high, rows["over_chance"], strict=True):
        fig.add_annotation(
            x=float(end), y=name, text=f"{shown:.2f}×", showarrow=False, xanchor="left", xshift=8,
            font={"color": colours.ink, "size": 12},
        )  # fmt: skip
    ends = range(math.floor(min(float(low.min()), -1)), math.ceil(max(float(high.max()), 1)) + 1)
    fig.update_xaxes(
        tickvals=list(ends), ticktext=[_times(2.0**k) for k in ends], title_text=t("Common tokens over chance")
    )
    return fig


def partner_pairs_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The pairs in one sentence."""
    if frame.empty:
        return t("No pair of experts in this selection")
    top = frame.iloc[0]
    return t(
        "{n} pairs; the most surprising is {first} and {second} of layer {layer} with {ratio:.2f}× of chance."
    ).format(
        n=len(frame), first=int(top["first"]), second=int(top["second"]), layer=int(top["layer"]),
        ratio=float(top["over_chance"]),
    )  # fmt: skip


def layer_agreement(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, next_layer, agreement, low, high, document_share, n) -> a point with interval per pair of layers,
    and the part that documents explain."""
    if frame.empty:
        return empty(t("Too few tokens to compare layers"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=330, left=56, right=24, top=44, bottom=44)
    x = [f"L{row.layer} → L{row.next_layer}" for row in frame.itertuples()]
    fig.add_trace(
        go.Scatter(
            x=x, y=frame["agreement"], mode="markers", name=t("Agreement"),
            marker={"color": colours.adaptive, "size": 11, "symbol": "circle"},
            error_y={
                "type": "data", "symmetric": False, "array": frame["high"] - frame["agreement"],
                "arrayminus": frame["agreement"] - frame["low"], "thickness": 2, "width": 4, "color": colours.adaptive,
            },
            customdata=frame["n"], hovertemplate="%{x}<br>%{y:.3f}<br>n = %{customdata:,}<extra></extra>",
        )
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=x, y=frame["document_share"], mode="markers", name=t("Explained by the document alone"),
            marker={"color": colours.dense, "size": 10, "symbol": "diamond-open", "line": {"width": 2}},
            hovertemplate="%{x}<br>%{y:.3f}<extra></extra>",
        )
    )  # fmt: skip
    fig.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": colours.ink}},
    )
    top = max(0.2, float(frame["high"].max()) * 1.1)
    fig.update_yaxes(range=[-0.03 * top, top], title_text=t("0 = chance, 1 = fully told"))
    fig.update_xaxes(showgrid=False)
    if len(x) > 12:
        fig.update_xaxes(tickvals=x[:: len(x) // 8])
    return fig


def layer_agreement_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Agreement in one sentence."""
    if frame.empty:
        return t("Too few tokens to compare layers")
    top = frame.loc[frame["agreement"].idxmax()]
    return t("Agreement of neighbouring layers; highest from layer {layer} to {next_layer} with {value:.2f}.").format(
        layer=int(top["layer"]), next_layer=int(top["next_layer"]), value=float(top["agreement"])
    )


def _log2(ratio: float) -> float | None:
    """log2 within the colour range; an expert that never ran sits at its lower end, what is unknown is left out."""
    if ratio != ratio:
        return None
    if ratio <= 0:
        return -COLOUR_RANGE
    return min(max(math.log2(ratio), -COLOUR_RANGE), COLOUR_RANGE)


def _times(ratio: float) -> str:
    return f"{ratio:.0f}×" if ratio >= 1 else f"1/{1 / ratio:.0f}×"
