"""One expert: its load from hour to hour, its use by domain, and what is lost without it, against its equals."""

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Translate, empty, figure, palette, plain, spoken

MOST_DOMAINS = 16
MOST_TICKS = 6


def load_by_hour(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (hour, n, layer_n, over_equal) -> its part of the layer's runs, in equal shares, hour by hour."""
    if frame.empty:
        return empty(t("No decision in this selection"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=300, left=60, right=24, top=24, bottom=56)
    fig.add_hline(y=1, line={"color": colours.muted, "width": 1, "dash": "dash"}, layer="below")
    fig.add_trace(
        go.Scatter(
            x=frame["hour"], y=frame["over_equal"], mode="markers+lines" if len(frame) > 1 else "markers",
            line={"color": colours.adaptive, "width": 2}, marker={"color": colours.adaptive, "size": 9},
            customdata=frame[["n", "layer_n"]].to_numpy().tolist(),
            hovertemplate=(
                "%{x|%Y-%m-%d %H:%M}<br>%{y:.2f}×<br>n = %{customdata[0]:,} / %{customdata[1]:,}<extra></extra>"
            ),
        )
    )  # fmt: skip
    hours = list(frame["hour"])
    step = max(1, -(-len(hours) // MOST_TICKS))
    around = pd.Timedelta(minutes=40)
    fig.update_xaxes(
        showgrid=False, type="date", tickvals=hours[::step], tickformat="%Y-%m-%d<br>%H:%M",
        range=[hours[0] - around, hours[-1] + around],
    )  # fmt: skip
    fig.update_yaxes(rangemode="tozero", title_text=t("× of an equal share"))
    return fig


def load_by_hour_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Smallest and largest part, in one sentence."""
    if frame.empty:
        return t("No decision in this selection")
    return t("Part of the layer's runs in {hours} hours: from {low:.2f} to {high:.2f} times an equal share.").format(
        hours=len(frame), low=float(frame["over_equal"].min()), high=float(frame["over_equal"].max())
    )


def use_by_domain(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (domain, n, runs, documents, share, low, high, state) -> share of each domain's tokens with its interval;
    busiest first, diamonds where it is busy or cold."""
    if frame.empty:
        return empty(t("No request of this run names a domain"), dark=dark)
    colours = palette(dark)
    if len(frame) > MOST_DOMAINS:
        frame = pd.concat([frame.head(MOST_DOMAINS // 2), frame.tail(MOST_DOMAINS // 2)])
    rows = frame.iloc[::-1]
    names = [plain(spoken(name, t)) for name in rows["domain"]]
    marked = rows["state"].isin(["busy", "cold", "never"])
    fig = figure(dark=dark, height=80 + 30 * len(rows), left=20, right=24, top=8, bottom=48)
    share, low, high = (100 * rows[name].astype(float) for name in ("share", "low", "high"))
    low, high = low.fillna(share), high.fillna(share)
    fig.add_trace(
        go.Scatter(
            x=share, y=names, mode="markers",
            marker={
                "color": [colours.dense if one else colours.adaptive for one in marked], "size": 10,
                "symbol": ["diamond" if one else "circle" for one in marked],
            },
            error_x={"type": "data", "symmetric": False, "array": (high - share).clip(lower=0).tolist(),
                     "arrayminus": (share - low).clip(lower=0).tolist(), "color": colours.muted, "thickness": 1.5,
                     "width": 0},
            customdata=[[a, b, c, d] for a, b, c, d in zip(low, high, rows["n"], rows["documents"], strict=True)],
            hovertemplate=(
                "%{y}<br>%{x:.1f} % (%{customdata[0]:.1f} – %{customdata[1]:.1f})<br>n = %{customdata[2]:,} / "
                "%{customdata[3]:,}<extra></extra>"
            ),
        )
    )  # fmt: skip
    fig.update_xaxes(rangemode="tozero", ticksuffix=" %", title_text=t("Tokens of the domain for which it runs"))
    fig.update_yaxes(showgrid=False, type="category")
    return fig


def use_by_domain_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Busiest and coldest domain, in one sentence."""
    if frame.empty:
        return t("No request of this run names a domain")
    top, last = frame.iloc[0], frame.iloc[-1]
    return t(
        "Use in {domains} domains: most in {top} with {high:.1%} of n = {n_top:,} tokens, least in {last} with "
        "{low:.1%} of n = {n_last:,}."
    ).format(
        domains=len(frame), top=spoken(top["domain"], t), high=float(top["share"]), n_top=int(top["n"]),
        last=spoken(last["domain"], t), low=float(last["share"]), n_last=int(last["n"]),
    )  # fmt: skip


def against_equals(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (name, moved, low, high, load, own) -> change of probability without each expert: it and its equals."""
    if frame.empty:
        return empty(t("Not measured"), dark=dark)
    colours = palette(dark)
    rows = frame.sort_values("moved", ascending=False)
    fig = figure(dark=dark, height=84 + 28 * len(rows), left=20, right=24, top=8, bottom=48)
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1}, layer="below")
    fig.add_trace(
        go.Scatter(
            x=rows["moved"], y=list(rows["name"]), mode="markers",
            marker={
                "color": [colours.dense if own else colours.adaptive for own in rows["own"]], "size": 10,
                "symbol": ["diamond" if own else "circle" for own in rows["own"]],
            },
            error_x={"type": "data", "symmetric": False, "array": (rows["high"] - rows["moved"]).tolist(),
                     "arrayminus": (rows["moved"] - rows["low"]).tolist(), "color": colours.muted, "thickness": 1.5,
                     "width": 0},
            customdata=rows[["low", "high", "load"]].to_numpy().tolist(),
            hovertemplate=(
                "%{y}<br>%{x:+.2f} (%{customdata[0]:+.2f} – %{customdata[1]:+.2f})<br>n = %{customdata[2]:,}"
                "<extra></extra>"
            ),
        )
    )  # fmt: skip
    fig.update_xaxes(title_text=t("Change of probability, points"))
    fig.update_yaxes(showgrid=False, type="category")
    return fig


def against_equals_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """Its own change, in one sentence."""
    if frame.empty:
        return t("Not measured")
    own = frame[frame["own"]].iloc[0]
    sentence = t(
        "Change without it: {moved:+.2f} points ({low:+.2f} to {high:+.2f}), beside {n} equally loaded experts."
    )
    return sentence.format(
        moved=float(own["moved"]), low=float(own["low"]), high=float(own["high"]), n=len(frame) - 1
    )
