"""One decision: all experts against their thresholds, what the margin is made of, and what each word changes."""

import pandas as pd
import plotly.graph_objects as go

from moe_core.charts.theme import Palette, Translate, empty, figure, palette, plain

ROW = 26  # height of a bar with its name


def expert_scores(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (expert_id, score, threshold, margin, runs, chosen) -> one bar per expert, its threshold as a tick; the
    chosen one has a frame."""
    colours = palette(dark)
    fig = figure(dark=dark, height=340, left=60, right=16, top=12, bottom=48)
    runs = frame["runs"].astype(bool)
    fig.add_trace(
        go.Bar(
            x=frame["expert_id"], y=frame["score"], width=0.72,
            marker={
                "color": [colours.adaptive if ran else colours.grid for ran in runs],
                "line": {"width": [3 if each else 0 for each in frame["chosen"]], "color": colours.ink},
            },
            customdata=[
                [threshold, margin, t("ran") if ran else t("did not run")]
                for threshold, margin, ran in zip(frame["threshold"], frame["margin"], runs, strict=True)
            ],
            hovertemplate="E%{x}<br>%{customdata[2]}<br>" + t("score") + " %{y:.3f}<br>" + t("threshold")
            + " %{customdata[0]:.3f}<br>" + t("margin") + " %{customdata[1]:+.3f}<extra></extra>",
        )
    )  # fmt: skip
    fig.add_trace(
        go.Scatter(
            x=frame["expert_id"], y=frame["threshold"], mode="markers", hoverinfo="skip",
            marker={"symbol": "line-ew", "size": 16, "line": {"width": 3, "color": colours.dense}},
        )
    )  # fmt: skip
    places = int(frame["expert_id"].max()) + 1
    fig.update_xaxes(
        title_text=t("Expert"), dtick=1 if places <= 16 else max(4, places // 16), showgrid=False,
        range=[-0.6, places - 0.4],
    )  # fmt: skip
    fig.update_yaxes(title_text=t("Score (strongest expert = 1)"), rangemode="tozero")
    return fig


def expert_scores_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The chosen expert's place in one sentence."""
    chosen = frame[frame["chosen"].astype(bool)].iloc[0]
    sentence = t(
        "Scores of {n} experts against their thresholds; expert {expert}: {score:.3f} against {threshold:.3f}."
    )
    return sentence.format(
        n=len(frame),
        expert=int(chosen["expert_id"]),
        score=float(chosen["score"]),
        threshold=float(chosen["threshold"]),
    )


def contribution_bars(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (name, contribution, turns, constant, n) in order -> horizontal bars; a diamond marks components without
    which the decision turns, pale bars constants."""
    if frame.empty:
        return empty(t("No contribution to show"), dark=dark)
    colours = palette(dark)
    rows = frame.iloc[::-1].reset_index(drop=True)
    fig = figure(dark=dark, height=70 + ROW * len(rows), left=40, right=28, top=8, bottom=48)
    fig.add_trace(
        go.Bar(
            x=rows["contribution"], y=list(range(len(rows))), orientation="h", width=0.7,
            marker={
                "color": [colours.adaptive if value > 0 else colours.dense for value in rows["contribution"]],
                "opacity": [0.55 if constant else 1.0 for constant in rows["constant"]], "line": {"width": 0},
            },
            customdata=[[plain(name)] for name in rows["name"]],
            hovertemplate="%{customdata[0]}: %{x:+.4f}<extra></extra>",
        )
    )  # fmt: skip
    _mark_turns(fig, rows, "contribution", colours)
    _names(fig, list(rows["name"]))
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1})
    fig.update_xaxes(title_text=t("Share of the margin (points of score)"), tickformat="+.2f")
    return fig


def contribution_bars_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The largest share in one sentence."""
    if frame.empty:
        return t("No contribution to show")
    first = frame.loc[frame["contribution"].abs().idxmax()]
    return t("Shares of the margin by component; the largest is {name} with {share:+.3f}.").format(
        name=first["name"], share=float(first["contribution"])
    )


def word_bars(frame: pd.DataFrame, *, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame (word, change, limit, beyond, turns) in the order of the text -> horizontal bars over a grey band, which is
    what nine of ten neutral swaps stay within; full colour = beyond it, diamond = turns the decision or the answer."""
    if frame.empty or frame["change"].isna().all():
        return empty(t("No word can be left out"), dark=dark)
    colours = palette(dark)
    rows = frame.iloc[::-1].reset_index(drop=True)
    places = list(range(len(rows)))
    fig = figure(dark=dark, height=70 + ROW * len(rows), left=40, right=28, top=8, bottom=48)
    fig.add_trace(
        go.Bar(
            x=2 * rows["limit"], base=-rows["limit"], y=places, orientation="h", width=1.0, hoverinfo="skip",
            marker={"color": colours.grid, "line": {"width": 0}},
        )
    )  # fmt: skip
    shade = [(colours.adaptive if up else colours.dense) for up in rows["change"] > 0]
    fig.add_trace(
        go.Bar(
            x=rows["change"], y=places, orientation="h", width=0.6,
            marker={"color": shade, "opacity": [1.0 if b else 0.45 for b in rows["beyond"]], "line": {"width": 0}},
            customdata=[[plain(word), limit] for word, limit in zip(rows["word"], rows["limit"], strict=True)],
            hovertemplate="%{customdata[0]}: %{x:+.4f}<br>± %{customdata[1]:.4f}<extra></extra>",
        )
    )  # fmt: skip
    _mark_turns(fig, rows, "change", colours)
    _names(fig, [_short(word) for word in rows["word"]])
    fig.update_layout(barmode="overlay")
    fig.add_vline(x=0, line={"color": colours.muted, "width": 1})
    fig.update_xaxes(title_text=t("Change without the word"), tickformat="+.3~f", nticks=5)
    return fig


def word_bars_alt(frame: pd.DataFrame, *, t: Translate = str) -> str:
    """The word with the largest effect, and how many are beyond the floor, in one sentence."""
    if frame.empty or frame["change"].isna().all():
        return t("No word can be left out")
    most = frame.loc[frame["change"].abs().idxmax()]
    return t("Change without each word; the largest is {change:+.3f} without “{word}”; {beyond} of {n} are beyond the "
             "neutral swaps.").format(
        change=float(most["change"]), word=most["word"], beyond=int(frame["beyond"].sum()), n=len(frame)
    )  # fmt: skip


def _mark_turns(fig: go.Figure, rows: pd.DataFrame, column: str, colours: Palette) -> None:
    """A diamond at the end of every bar without which the decision turns."""
    marked = rows[rows["turns"].astype(bool)]
    if len(marked):
        fig.add_trace(
            go.Scatter(
                x=marked[column], y=marked.index.tolist(), mode="markers", hoverinfo="skip",
                marker={"symbol": "diamond", "size": 12, "color": colours.ink,
                        "line": {"width": 2, "color": colours.card}},
            )
        )  # fmt: skip


def _names(fig: go.Figure, names: list[str]) -> None:
    """Names at the bars, which lie at 0, 1, ...: equal names stay apart."""
    fig.update_yaxes(
        tickvals=list(range(len(names))), ticktext=[plain(name) for name in names], showgrid=False,
        range=[-0.6, len(names) - 0.4],
    )  # fmt: skip


def _short(word: str, limit: int = 24) -> str:
    return word if len(word) <= limit else word[: limit - 1] + "…"
