"""Routing between groups: the difference of every expert with its interval, divergence by layer, windows over time.

What is flagged is a filled diamond with its name beside it, what is not an open circle: shape and text say it too.
"""

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Palette, Translate, empty, figure, palette

MOST_CELLS = 200
MOST_NAMES = 8
MOST_TICKS = 8


def difference_by_cell(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, expert_id, difference, low, high, p_joint, t, flagged) of one comparison -> points above and below
    0 with 95 % intervals, layer by layer. Of more than MOST_CELLS cells those with the largest abs(t) are drawn."""
    rows = shown_cells(frame)
    if rows.empty:
        return empty(t("No expert was tested"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=400, left=64, right=24, top=28, bottom=44)
    place = pd.Series(range(len(rows)), index=rows.index)
    fig.add_hline(y=0, line={"color": colours.muted, "width": 1}, layer="below")
    _layers(fig, rows, place, colours)
    for flagged in (False, True):
        part = rows[rows["flagged"].astype(bool) == flagged]
        if not part.empty:
            fig.add_trace(_points(part, place[part.index], flagged, colours, t))
    named = rows[rows["flagged"].astype(bool)].sort_values("t", key=abs, ascending=False).head(MOST_NAMES)
    taken: list[tuple[int, bool]] = []  # no two names on top of each other
    for index, row in named.iterrows():
        here = int(place[index]), bool(row["difference"] >= 0)
        if any(here[1] == side and abs(here[0] - x) < len(rows) / 40 for x, side in taken):
            continue
        taken.append(here)
        above = row["difference"] >= 0
        fig.add_annotation(
            x=int(place[index]), y=100 * float(row["high"] if above else row["low"]),
            text=f"E{int(row['expert_id'])}", showarrow=False, yshift=11 if above else -11,
            font={"color": colours.ink, "size": 12, "weight": 600},
        )  # fmt: skip
    fig.update_yaxes(title_text=t("Difference of shares, points"), ticksuffix="", zeroline=False)
    fig.update_xaxes(showgrid=False, range=[-0.8, len(rows) - 0.2])
    return fig


def difference_by_cell_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """How many experts are flagged, and the largest difference, in one sentence."""
    rows = shown_cells(frame)
    if rows.empty:
        return t("No expert was tested")
    top = rows.loc[rows["t"].abs().idxmax()]
    return t(
        "Difference of shares for {cells} experts with 95% intervals: {flagged} flagged; the clearest is expert "
        "{expert} of layer {layer}, {difference:+.1f} points ({low:+.1f} to {high:+.1f})."
    ).format(
        cells=len(rows), flagged=int(rows["flagged"].sum()), expert=int(top["expert_id"]), layer=int(top["layer"]),
        difference=100 * float(top["difference"]), low=100 * float(top["low"]), high=100 * float(top["high"]),
    )  # fmt: skip


def shown_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The tested cells that are drawn, layer by layer."""
    tested = frame.dropna(subset=["t"])
    strongest = tested.loc[tested["t"].abs().sort_values(ascending=False, kind="stable").index].head(MOST_CELLS)
    return strongest.sort_values(["layer", "expert_id"], ignore_index=True)


def divergence_by_layer(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (layer, jsd_debiased, p, flagged, documents) -> one point per layer; flagged ones carry their p."""
    if frame.empty:
        return empty(t("No layer was tested"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=320, left=72, right=24, top=28, bottom=44)
    fig.add_hline(y=0, line={"color": colours.muted, "width": 1}, layer="below")
    names = [f"L{int(layer)}" for layer in frame["layer"]]
    values = 1000 * frame["jsd_debiased"].to_numpy()
    for name, value in zip(names, values, strict=True):
        fig.add_shape(type="line", x0=name, x1=name, y0=0, y1=value, layer="below",
                      line={"color": colours.border, "width": 3})  # fmt: skip
    flagged = frame["flagged"].astype(bool).to_numpy()
    fig.add_trace(
        go.Scatter(
            x=names, y=values, mode="markers+text", cliponaxis=False,
            text=[f"p = {p:.3f}" if is_flagged else "" for p, is_flagged in zip(frame["p"], flagged, strict=True)],
            textposition="top center", textfont={"color": colours.ink, "size": 12},
            marker={
                "symbol": ["diamond" if is_flagged else "circle-open" for is_flagged in flagged], "size": 11,
                "color": [colours.dense if is_flagged else colours.adaptive for is_flagged in flagged],
                "line": {"width": 2},
            },
            customdata=frame[["p", "documents"]].to_numpy().tolist(),
            hovertemplate=(
                "%{x}: %{y:.2f}<br>p = %{customdata[0]:.3f}<br>n = %{customdata[1]:,} "
                + t("documents") + "<extra></extra>"
            ),
        )
    )  # fmt: skip
    top, bottom = max(0.5, float(values.max())), min(0.0, float(values.min()))
    fig.update_yaxes(range=[1.15 * bottom - 0.06 * top, 1.2 * top], title_text=t("Divergence, thousandths of a bit"))
    fig.update_xaxes(showgrid=False, title_text=t("Layer"))
    return fig


def divergence_by_layer_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The layer with the largest divergence, in one sentence."""
    if frame.empty:
        return t("No layer was tested")
    top = frame.loc[frame["jsd_debiased"].idxmax()]
    return t(
        "Divergence by layer: largest in layer {layer} with {value:.2f} thousandths of a bit (p = {p:.3f}); {flagged} "
        "of {layers} layers flagged."
    ).format(
        layer=int(top["layer"]), value=1000 * float(top["jsd_debiased"]), p=float(top["p"]),
        flagged=int(frame["flagged"].sum()), layers=len(frame),
    )  # fmt: skip


def difference_over_time(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame as `windows.watch` -> largest difference of each audited window, and the smallest that would be found."""
    rows = frame[frame["audited"].astype(bool)]
    if rows.empty:
        return empty(t("No window holds two groups that are large enough"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=320, left=64, right=24, top=44, bottom=64)
    flagged = rows["flagged"].astype(bool).to_numpy()
    for column, name, colour, symbols in (
        ("minimum_detectable", t("would be found"), colours.muted, ["line-ew-open"] * len(rows)),
        ("largest_difference", t("largest difference"), colours.adaptive,
         ["diamond" if is_flagged else "circle-open" for is_flagged in flagged]),
    ):  # fmt: skip
        fig.add_trace(
            go.Scatter(
                x=rows["start"], y=100 * rows[column], name=name, mode="markers+lines",
                line={"color": colour, "width": 1.5, "dash": "dot"},
                marker={"symbol": symbols, "size": 11, "color": colour, "line": {"width": 2}},
                customdata=rows[["documents", "p"]].to_numpy().tolist(),
                hovertemplate=(
                    "%{x|%Y-%m-%d %H:%M}<br>" + name
                    + " %{y:.1f}<br>n = %{customdata[0]:,}, p = %{customdata[1]:.3f}<extra></extra>"
                ),
            )
        )  # fmt: skip
    fig.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    fig.update_yaxes(rangemode="tozero", title_text=t("Difference of shares, points"))
    starts = list(rows["start"])
    step = max(1, -(-len(starts) // MOST_TICKS))
    around = (rows["end"] - rows["start"]).iloc[0]
    fig.update_xaxes(
        showgrid=False, type="date", tickvals=starts[::step], tickformat="%Y-%m-%d<br>%H:%M",
        range=[starts[0] - around, starts[-1] + around], title_text=t("Start of the window (UTC)"),
    )  # fmt: skip
    return fig


def difference_over_time_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """How many windows are flagged, in one sentence."""
    return t("Windows: {windows}; audited: {audited}; flagged: {flagged}.").format(
        audited=int(frame["audited"].sum()), windows=len(frame), flagged=int(frame["flagged"].sum())
    )


def _layers(fig: go.Figure, rows: pd.DataFrame, place: "pd.Series[int]", colours: Palette) -> None:
    """A line between layers, and their names below."""
    middles, names = [], []
    for layer, part in rows.groupby("layer"):
        first, last = int(place[part.index[0]]), int(place[part.index[-1]])
        middles.append((first + last) / 2)
        names.append(f"L{int(layer)}")
        if first:
            fig.add_vline(x=first - 0.5, line={"color": colours.border, "width": 1}, layer="below")
    fig.update_xaxes(tickvals=middles, ticktext=names)


def _points(
    part: pd.DataFrame, place: "pd.Series[int]", flagged: bool, colours: Palette, t: Translate
) -> go.Scatter:
    colour = colours.dense if flagged else colours.adaptive
    word = t("flagged") if flagged else t("not flagged")
    return go.Scatter(
        x=place, y=100 * part["difference"], mode="markers",
        marker={"symbol": "diamond" if flagged else "circle-open", "size": 11 if flagged else 7, "color": colour,
                "line": {"width": 1.5, "color": colour}},
        error_y={"type": "data", "symmetric": False, "array": (100 * (part["high"] - part["difference"])).tolist(),
                 "arrayminus": (100 * (part["difference"] - part["low"])).tolist(), "color": colour, "thickness": 1.2,
                 "width": 0},
        customdata=part[["layer", "expert_id", "low", "high", "p_joint"]]
        .assign(low=100 * part["low"], high=100 * part["high"]).to_numpy().tolist(),
        hovertemplate=(
            "L%{customdata[0]:.0f} · E%{customdata[1]:.0f}: %{y:+.1f} (%{customdata[2]:+.1f} – %{customdata[3]:+.1f})"
            "<br>p = %{customdata[4]:.3f}, " + word + "<extra></extra>"
        ),
        name=word,
    )  # fmt: skip
