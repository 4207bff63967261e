"""What a budget buys: quality against compute, work of the layers, and the domains that pay."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Palette, Translate, empty, figure, palette, plain, spoken

MOST_DOMAINS = 12
LABEL_GAP = 0.08  # of the wall-time axis, between the names of two lines


def quality_by_compute(
    frame: pd.DataFrame, *, t: Translate = str, dark: bool = False, chosen: float | None = None
) -> go.Figure:
    """frame (rule, budget, flops_ratio, delta, low, high, n) -> points against the dense original over the encoder's
    FLOPs; `chosen` marks the adaptive point of this budget."""
    if frame.empty:
        return empty(t("Nothing was measured for this model yet"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=360, left=64, right=28, top=28, bottom=52)
    fig.add_hline(y=0, line={"color": colours.dense, "width": 2}, layer="below")
    fig.add_annotation(
        x=1, y=0, xref="paper", text=t("Dense original"), showarrow=False, yshift=11, xanchor="right",
        font={"color": colours.dense, "size": 13},
    )  # fmt: skip
    for rule, name, colour, symbol, dash in (
        ("topk", t("Fixed top-k"), colours.muted, "diamond-open", "dot"),
        ("adaptive", t("Adaptive"), colours.adaptive, "circle", "solid"),
    ):
        rows = frame[frame["rule"] == rule].sort_values("flops_ratio")
        if rows.empty:
            continue
        fig.add_trace(_points(rows, name, colour, symbol, dash, colours, t))
        place = rows.iloc[0]
        fig.add_annotation(
            x=place["flops_ratio"], y=place["delta"], text=name, showarrow=False, xshift=8, yshift=-16, xanchor="left",
            font={"color": colour, "size": 13},
        )  # fmt: skip
    if chosen is not None:
        mark = frame[(frame["rule"] == "adaptive") & ((frame["budget"] - chosen).abs() < 1e-9)]
        if not mark.empty:
            fig.add_trace(
                go.Scatter(
                    x=mark["flops_ratio"], y=mark["delta"], mode="markers", hoverinfo="skip",
                    marker={"size": 20, "symbol": "circle-open", "color": colours.ink, "line": {"width": 2.5}},
                )
            )  # fmt: skip
    fig.update_xaxes(tickformat=".0%", title_text=t("FLOPs of the whole encoder, % of the dense original"))
    fig.update_yaxes(ticksuffix="", tickformat="+.1f", title_text=t("Points against dense"))
    return fig


def quality_by_compute_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Cheapest adaptive point in one sentence."""
    rows = frame[frame["rule"] == "adaptive"] if not frame.empty else frame
    if rows.empty:
        return t("Nothing was measured for this model yet")
    low = rows.loc[rows["flops_ratio"].idxmin()]
    sentence = t("Quality against compute: the cheapest measured setting needs {share:.0%} at {points:+.1f} points.")
    return sentence.format(share=float(low["flops_ratio"]), points=float(low["delta"]))


def layers_by_budget(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (budget, layer, active_fraction) -> layers x budgets, share of the experts that ran."""
    if frame.empty:
        return empty(t("Nothing was measured for this model yet"), dark=dark)
    colours = palette(dark)
    wide = frame.pivot(index="layer", columns="budget", values="active_fraction").sort_index(axis=1)
    fig = figure(dark=dark, height=84 + 40 * max(len(wide), 3), left=44, right=12, top=8, bottom=48)
    fig.add_trace(
        go.Heatmap(
            z=wide.to_numpy().tolist(),
            x=[f"{budget:.2f}" for budget in wide.columns],
            y=[f"L{int(layer)}" for layer in wide.index],
            zmin=0, zmax=1, colorscale=[list(stop) for stop in colours.sequential], xgap=2, ygap=2, showscale=False,
            texttemplate="%{z:.0%}", textfont={"size": 13},
            hovertemplate="%{y}, %{x}: %{z:.1%}<extra></extra>",
        )
    )  # fmt: skip
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(showgrid=False, type="category", title_text=t("Budget (share of expert compute asked for)"))
    return fig


def layers_by_budget_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Busiest and idlest layer at the smallest budget."""
    if frame.empty:
        return t("Nothing was measured for this model yet")
    rows = frame[frame["budget"] == frame["budget"].min()]
    low, high = rows.loc[rows["active_fraction"].idxmin()], rows.loc[rows["active_fraction"].idxmax()]
    return t(
        "Share of the experts that run, by layer: at budget {budget:.2f} from {low:.0%} in layer {low_layer} to "
        "{high:.0%} in layer {high_layer}."
    ).format(
        budget=float(rows["budget"].iloc[0]),
        low=float(low["active_fraction"]),
        low_layer=int(low["layer"]),
        high=float(high["active_fraction"]),
        high_layer=int(high["layer"]),
    )


def domains_that_pay(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (domain, n, active_fraction, cosine), worst first -> cosine to the dense embedding of the worst domains."""
    if frame.empty:
        return empty(t("Nothing was measured for this model yet"), dark=dark)
    colours = palette(dark)
    rows = frame.head(MOST_DOMAINS).iloc[::-1]
    names = [f"{plain(spoken(name, t))} ({n:,})" for name, n in zip(rows["domain"], rows["n"], strict=True)]
    fig = figure(dark=dark, height=70 + 26 * len(rows), left=170, right=60, top=8, bottom=44)
    fig.add_trace(
        go.Scatter(
            x=rows["cosine"], y=names, mode="markers+text", text=[f"{c:.3f}" for c in rows["cosine"]],
            textposition="middle right", textfont={"color": colours.ink, "size": 13}, cliponaxis=False,
            marker={"size": 11, "color": colours.adaptive},
            customdata=rows[["active_fraction", "n"]].to_numpy().tolist(),
            hovertemplate="%{y}: %{x:.3f}<br>%{customdata[0]:.0%}, n = %{customdata[1]:,}<extra></extra>",
        )
    )  # fmt: skip
    fig.update_xaxes(title_text=t("Mean cosine to the dense embedding"), nticks=5)
    fig.update_yaxes(showgrid=True)
    return fig


def domains_that_pay_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Worst domain in one sentence."""
    if frame.empty:
        return t("Nothing was measured for this model yet")
    worst = frame.loc[frame["cosine"].idxmin()]
    return t("The kind of text furthest from dense is {name}, with a mean cosine of {cosine:.3f}.").format(
        name=spoken(worst["domain"], t), cosine=float(worst["cosine"])
    )


def wall_by_budget(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (budget, regime, threads, ratio_wall_p50) -> wall time against dense over the budget, a line per regime."""
    if frame.empty:
        return empty(t("Wall time was not measured: run `routelens bench model --record`"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=320, left=56, right=96, top=20, bottom=52)
    fig.add_hline(y=1, line={"color": colours.dense, "width": 2}, layer="below")
    tones = (colours.adaptive, colours.accent, colours.warning, colours.muted)
    lines = {regime: rows.sort_values("budget") for regime, rows in frame.groupby("regime", sort=True)}
    heights = beside_line([float(rows["ratio_wall_p50"].iloc[-1]) for rows in lines.values()], 1.0, LABEL_GAP)
    for index, (regime, ordered) in enumerate(lines.items()):
        colour = tones[index % len(tones)]
        fig.add_trace(
            go.Scatter(
                x=ordered["budget"], y=ordered["ratio_wall_p50"], mode="lines+markers", line={"color": colour},
                marker={"size": 8}, name=str(regime), cliponaxis=False,
                hovertemplate=f"{plain(_spoken_regime(regime, t))}, %{{x:.2f}}: %{{y:.2f}}<extra></extra>",
            )
        )  # fmt: skip
        last = ordered.iloc[-1]
        fig.add_annotation(
            x=last["budget"],
            y=heights[index],
            text=plain(_spoken_regime(regime, t)),
            showarrow=False,
            xanchor="left",
            xshift=8,
            font={"color": colour, "size": 13},
        )
    fig.update_xaxes(showgrid=False, title_text=t("Budget (share of expert compute asked for)"))
    fig.update_yaxes(title_text=t("Time, dense = 1"), rangemode="tozero")
    return fig


def apart(values: Sequence[float], gap: float) -> list[float]:
    """The values moved as little upwards as it takes for neighbours to be at least `gap` apart; in the order given."""
    result = list(values)
    order = sorted(range(len(values)), key=lambda index: values[index])
    for before, after in pairwise(order):
        result[after] = max(result[after], result[before] + gap)
    return result


def beside_line(values: Sequence[float], line: float, gap: float) -> list[float]:
    """The values moved away from a level line as little as it takes to be `gap` apart from it and from each other;
    none changes its side. In the order given."""
    result = list(values)
    for side in (1, -1):
        places = [i for i, value in enumerate(values) if (value >= line) == (side == 1)]
        moved = apart([0.0, *(side * (values[i] - line) for i in places)], gap)[1:]
        for place, distance in zip(places, moved, strict=True):
            result[place] = line + side * distance
    return result


def wall_by_budget_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Fastest and slowest in one sentence."""
    if frame.empty:
        return t("Wall time was not measured: run `routelens bench model --record`")
    low, high = frame.loc[frame["ratio_wall_p50"].idxmin()], frame.loc[frame["ratio_wall_p50"].idxmax()]
    return t("Wall time against dense: from {low:.2f} ({low_regime}) to {high:.2f} ({high_regime}).").format(
        low=float(low["ratio_wall_p50"]), low_regime=_spoken_regime(low["regime"], t),
        high=float(high["ratio_wall_p50"]), high_regime=_spoken_regime(high["regime"], t),
    )  # fmt: skip


def _spoken_regime(regime: object, t: Translate) -> str:
    names = {
        "one": t("one short text"),
        "one-long": t("one long text"),
        "batch32": t("32 texts"),
        "batch256": t("256 texts"),
    }
    return names.get(str(regime), str(regime))


def _points(
    rows: pd.DataFrame, name: str, colour: str, symbol: str, dash: str, colours: Palette, t: Translate
) -> go.Scatter:
    return go.Scatter(
        x=rows["flops_ratio"],
        y=rows["delta"],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5, "dash": dash},
        marker={"size": 10, "symbol": symbol},
        cliponaxis=False,
        error_y={
            "type": "data", "symmetric": False, "array": rows["high"] - rows["delta"],
            "arrayminus": rows["delta"] - rows["low"], "color": colours.muted, "thickness": 1.2, "width": 5,
        },
        customdata=rows[["budget", "n"]].to_numpy().tolist(),
        hovertemplate=t("Budget") + " %{customdata[0]:.2f}: %{y:+.2f}<br>n = %{customdata[1]:,}<extra></extra>",
    )  # fmt: skip
