"""The overview's pictures: where compute goes between tokens, what each domain costs, what each budget gives."""

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Translate, empty, figure, palette, plain, spoken


def active_experts(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (num_active, tokens, share) -> one bar per number of experts; the tallest carries its share."""
    if frame.empty:
        return empty(t("No decision in this selection"), dark=dark)
    colours = palette(dark)
    tallest = frame["share"].idxmax()
    fig = figure(dark=dark, height=300, left=52, right=16, top=24, bottom=48)
    fig.add_trace(
        go.Bar(
            x=frame["num_active"],
            y=frame["share"],
            marker={"color": colours.adaptive, "line": {"width": 0}},
            text=[f"{s:.0%}" if i == tallest else "" for i, s in zip(frame.index, frame["share"], strict=True)],
            textposition="outside",
            cliponaxis=False,
            constraintext="none",
            textangle=0,
            textfont={"color": colours.ink, "size": 13},
            customdata=frame["tokens"],
            hovertemplate="%{x}: %{y:.1%}<br>n = %{customdata:,}<extra></extra>",
        )
    )
    fig.update_layout(bargap=0.18)
    fig.update_yaxes(tickformat=".0%", nticks=5)
    fig.add_annotation(
        text=f"n = {int(frame['tokens'].sum()):,}",
        xref="paper",
        yref="paper",
        x=1,
        y=1,
        xanchor="right",
        showarrow=False,
        font={"color": colours.muted, "size": 13},
    )
    fig.update_xaxes(
        showgrid=False,
        title_text=t("Experts run for one token in one layer"),
        dtick=1 if len(frame) <= 16 else 4,
        range=[float(frame["num_active"].min()) - 0.9, float(frame["num_active"].max()) + 0.7],
    )
    return fig


def active_experts_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The histogram in one sentence."""
    if frame.empty:
        return t("No decision in this selection")
    top = frame.loc[frame["share"].idxmax()]
    return t("Most often {k} experts run for a token in a layer ({share:.0%} of {n:,} pairs).").format(
        k=int(top["num_active"]), share=float(top["share"]), n=int(frame["tokens"].sum())
    )


def cost_by_domain(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (domain, requests, expert_compute) -> one dot per domain on a scale that ends at the dense original."""
    if frame.empty:
        return empty(t("No request in this selection"), dark=dark)
    colours = palette(dark)
    rows = frame.sort_values("expert_compute", ascending=True)
    names = [
        f"{plain(_short(spoken(name, t)))} ({int(n):,})"
        for name, n in zip(rows["domain"], rows["requests"], strict=True)
    ]
    fig = figure(dark=dark, height=max(332, 84 + 32 * len(rows)), left=96, right=64, top=28, bottom=44)
    fig.add_trace(
        go.Bar(
            x=rows["expert_compute"],
            y=names,
            orientation="h",
            marker={"color": colours.adaptive, "line": {"width": 0}},
            width=0.5,
            text=[f"{v:.0%}" for v in rows["expert_compute"]],
            textposition="outside",
            cliponaxis=False,
            textfont={"color": colours.ink, "size": 13},
            customdata=rows["requests"],
            hovertemplate="%{y}<br>%{x:.1%}<br>n = %{customdata:,}<extra></extra>",
        )
    )
    fig.add_vline(x=1.0, line={"color": colours.dense, "width": 2, "dash": "dash"})
    fig.add_annotation(
        x=1.0,
        y=1.0,
        yref="paper",
        yanchor="bottom",
        text=t("dense original"),
        showarrow=False,
        font={"color": colours.dense, "size": 13},
    )
    fig.update_xaxes(tickformat=".0%", range=[0, 1.08], dtick=0.25)
    fig.update_yaxes(showgrid=False)
    return fig


def cost_by_domain_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Cheapest and dearest domain in one sentence."""
    if frame.empty:
        return t("No request in this selection")
    low, high = frame.loc[frame["expert_compute"].idxmin()], frame.loc[frame["expert_compute"].idxmax()]
    return t(
        "Expert compute against the dense original by domain: lowest {low_name} with {low:.0%}, highest {high_name} "
        "with {high:.0%}."
    ).format(
        low_name=_short(spoken(low["domain"], t)),
        low=float(low["expert_compute"]),
        high_name=_short(spoken(high["domain"], t)),
        high=float(high["expert_compute"]),
    )


def agreement_by_budget(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (budget, share, low, high, n) -> agreement with the dense original over the budget, with intervals."""
    if frame.empty:
        return empty(t("No comparison with the dense original has been measured"), dark=dark)
    colours = palette(dark)
    rows = frame.sort_values("budget")
    fig = figure(dark=dark, height=300, left=56, right=24, top=24, bottom=48)
    fig.add_trace(
        go.Scatter(
            x=rows["budget"],
            y=rows["share"],
            mode="lines+markers",
            line={"color": colours.adaptive, "width": 2.5},
            marker={"size": 9},
            cliponaxis=False,
            error_y={
                "type": "data",
                "symmetric": False,
                "array": rows["high"] - rows["share"],
                "arrayminus": rows["share"] - rows["low"],
                "color": colours.muted,
                "thickness": 1.2,
                "width": 5,
            },
            customdata=rows["n"],
            hovertemplate="%{x:.2f}: %{y:.1%}<br>n = %{customdata:,}<extra></extra>",
        )
    )
    fig.add_trace(
        go.Scatter(
            x=rows["budget"],
            y=rows["high"],
            mode="text",
            text=[f"{share:.1%}" for share in rows["share"]],
            textposition="top center",
            textfont={"color": colours.ink, "size": 13},
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    floor = min(0.9, float(rows["low"].min()) - 0.02)
    fig.update_yaxes(tickformat=".0%", range=[max(0.0, floor), 1.02], nticks=6)
    fig.update_xaxes(
        showgrid=False,
        title_text=t("Budget (share of expert compute asked for)"),
        tickvals=rows["budget"],
        ticktext=[f"{b:.2f}<br>n = {int(n):,}" for b, n in zip(rows["budget"], rows["n"], strict=True)],
    )
    return fig


def agreement_by_budget_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Agreement over budgets in one sentence."""
    if frame.empty:
        return t("No comparison with the dense original has been measured")
    low = frame.loc[frame["share"].idxmin()]
    return t("Agreement with the dense original by budget; lowest {share:.1%} at budget {budget:.2f}.").format(
        share=float(low["share"]), budget=float(low["budget"])
    )


def _short(name: object, limit: int = 24) -> str:
    text = str(name)
    return text if len(text) <= limit else text[: limit - 1] + "…"
