"""A chart of any table: what a question to the log returned, as bars, lines or points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from moe_core.charts.theme import OKABE_ITO, Palette, Translate, empty, figure, palette, plain

Kind = Literal["bar", "line", "scatter"]
KINDS: tuple[Kind, ...] = ("bar", "line", "scatter")
MOST_ROWS = 2000
MOST_BARS = 60  # distinct numbers on the axis that still stand side by side as names
FEWEST_PLACES = 6
MOST_NAMES = 20  # written below the axis
MOST_GROUPS = 7  # colours people can tell apart; more of them only for numbers, in order
MOST_STEPS = 24
LONGEST_NAME = 28
_KEYS = {"layer", "position", "rank", "hour", "day", "flags", "budget", "expert_a", "expert_b"}
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star", "circle-open")


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What stands where: columns of the frame."""

    kind: Kind
    x: str
    y: str
    colour: str | None = None


def measures(frame: pd.DataFrame) -> list[str]:
    """Columns with numbers that can be drawn upwards."""
    return [
        name
        for name in frame.columns
        if pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])
    ]


def suggested(frame: pd.DataFrame) -> Choice | None:
    """A first choice that suits the table; None where it holds no number. Columns that name things (text, ids, layers)
    go along the axis, the first share or mean goes up, else the first count."""
    numbers = measures(frame)
    if frame.empty or not numbers:
        return None
    values = [name for name in numbers if not _is_key(name)] or numbers[-1:]
    y = next((name for name in values if pd.api.types.is_float_dtype(frame[name])), values[0])
    keys = [name for name in frame.columns if name != y and (name not in numbers or _is_key(name))]
    times = [name for name in keys if pd.api.types.is_datetime64_any_dtype(frame[name])]
    if not keys:
        others = [name for name in numbers if name != y]
        return Choice(kind="scatter", x=others[0], y=y) if others else Choice(kind="bar", x=y, y=y)
    if times and len(frame) > MOST_BARS:
        return Choice(kind="scatter", x=times[0], y=y)
    if times == keys:
        return Choice(kind="line", x=times[0], y=y)
    pair = sorted(keys[:2], key=lambda name: int(frame[name].nunique()))
    colour = pair[0] if len(pair) == 2 and 1 < frame[pair[0]].nunique() <= MOST_GROUPS else None
    return Choice(
        kind="bar", x=pair[-1] if colour else max(keys[:2], key=lambda n: frame[n].nunique()), y=y, colour=colour
    )


def query_result(frame: pd.DataFrame, *, choice: Choice, t: Translate = str, dark: bool = False) -> go.Figure:
    """frame: the columns of `choice` -> its first rows as bars, lines or points, a trace for each colour. Rows with the
    same place and colour are stacked if they are bars."""
    rows = drawn(frame, choice)
    if rows.empty:
        return empty(t("No number to draw in these columns"), dark=dark)
    colours = palette(dark)
    fig = figure(dark=dark, height=400, left=64, right=24, top=48 if choice.colour else 20, bottom=64)
    x, axis = _axis(rows[choice.x], choice.kind)
    groups = _groups(rows, choice.colour, colours, t)
    for place, (name, colour, chosen) in enumerate(groups):
        fig.add_trace(
            _trace(choice, x[chosen], rows.loc[chosen, choice.y], name, colour, _SYMBOLS[place % len(_SYMBOLS)])
        )
    fig.update_layout(
        barmode="relative" if stacked(frame, choice) else "group",
        showlegend=choice.colour is not None,
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "title": {"text": _name(choice.colour or "")},
        },
    )
    fig.update_xaxes(showgrid=choice.kind == "scatter", title_text=_name(choice.x), **axis)
    fig.update_yaxes(title_text=_name(choice.y), rangemode="tozero" if choice.kind == "bar" else "normal")
    return fig


def query_result_alt(frame: pd.DataFrame, *, choice: Choice, t: Translate = str) -> str:
    """What is drawn, with the range of its numbers, in one sentence."""
    rows = drawn(frame, choice)
    if rows.empty:
        return t("No number to draw in these columns")
    sentence = t("{y} by {x}: {n:,} values from {low:g} to {high:g}.")
    values = rows[choice.y].astype(float)
    return sentence.format(
        y=_short(choice.y), x=_short(choice.x), n=len(rows), low=float(values.min()), high=float(values.max())
    )


def drawn(frame: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """The rows that a chart of this choice shows."""
    return frame[frame[choice.y].notna()].head(MOST_ROWS)


def stacked(frame: pd.DataFrame, choice: Choice) -> bool:
    """Whether bars stand on each other, because rows have the same place and colour."""
    columns = [choice.x, choice.colour] if choice.colour else [choice.x]
    return choice.kind == "bar" and bool(drawn(frame, choice).duplicated(columns).any())


def _trace(choice: Choice, x: "pd.Series[Any]", y: "pd.Series[Any]", name: str, colour: str, symbol: str) -> Any:
    values = [float(value) for value in y]
    hover = f"{_name(choice.x)}: %{{x}}<br>{_name(choice.y)}: %{{y}}<extra>{name}</extra>"
    shared = {"x": x.tolist(), "y": values, "name": name, "hovertemplate": hover}
    if choice.kind == "bar":
        return go.Bar(**shared, marker={"color": colour})
    marker = {"color": colour, "size": 8, "symbol": symbol}
    if choice.kind == "line":
        return go.Scatter(**shared, mode="lines+markers", marker=marker, line={"color": colour, "width": 2.5})
    return go.Scatter(**shared, mode="markers", marker={**marker, "opacity": 0.75})


def _axis(column: "pd.Series[Any]", kind: Kind) -> tuple["pd.Series[Any]", dict[str, Any]]:
    """Places along the axis, and its settings. Text, and few numbers under bars, stand side by side as names."""
    side_by_side = column.nunique() <= (MOST_BARS if kind == "bar" else 1)
    if pd.api.types.is_datetime64_any_dtype(column) and not side_by_side:
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").where(column.notna(), None), {"type": "date"}
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number and not (kind == "bar" and side_by_side):
        return column.astype(float), {"type": "linear"}
    distinct = list(pd.unique(column.sort_values() if is_number else column))
    labels = _labels(distinct)
    names = [labels[_hashable(value)] for value in distinct]
    shown = names[:: -(-len(names) // MOST_NAMES)]
    places = pd.Series([labels[_hashable(value)] for value in column], index=column.index, dtype=object)
    empty_places = max(0, FEWEST_PLACES - len(names)) / 2  # so that a single bar is not as wide as the page
    angle = 0 if sum(len(name) for name in shown) < 110 else -35
    return places, {"type": "category", "categoryorder": "array", "categoryarray": names, "tickmode": "array",
                    "tickvals": shown, "ticktext": shown, "tickangle": angle,
                    "range": [-0.5 - empty_places, len(names) - 0.5 + empty_places]}  # fmt: skip


def _labels(values: Sequence[Any]) -> dict[Any, str]:
    """A short name for each value, no two alike."""
    labels: dict[Any, str] = {}
    taken: set[str] = set()
    for value in values:
        name, count = _name(value), 1
        while name in taken:
            count += 1
            name = f"{_name(value)} ({count})"
        taken.add(name)
        labels[_hashable(value)] = name
    return labels


def _groups(rows: pd.DataFrame, column: str | None, colours: Palette, t: Translate) -> list[tuple[str, str, Any]]:
    """(name, colour, mask of its rows) for each colour; what comes after the last colour is one group."""
    if column is None:
        return [("", colours.adaptive, pd.Series(True, index=rows.index))]
    values = rows[column]
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    distinct = list(pd.unique(values.sort_values() if is_number else values))
    most = MOST_STEPS if is_number else MOST_GROUPS
    kept = distinct if len(distinct) <= most else distinct[: most - 1]
    if is_number and len(kept) > MOST_GROUPS:
        scale = [list(stop) for stop in colours.sequential]
        tones = sample_colorscale(scale, [0.25 + 0.75 * i / (len(kept) - 1) for i in range(len(kept))])
    else:
        other_blue = next(tone for tone in (OKABE_ITO[0], OKABE_ITO[5]) if tone != colours.adaptive)
        tones = [colours.adaptive, *OKABE_ITO[1:5], other_blue, colours.muted][: len(kept)]
    labels = _labels(kept)
    masks = [values.isna() if pd.isna(value) else values == value for value in kept]
    groups = [(labels[_hashable(value)], tone, mask) for value, tone, mask in zip(kept, tones, masks, strict=True)]
    if len(kept) < len(distinct):
        rest = ~pd.concat(masks, axis=1).any(axis=1)
        groups.append((t("{n:,} others").format(n=len(distinct) - len(kept)), colours.muted, rest))
    return [(name, tone, mask.fillna(False).astype(bool)) for name, tone, mask in groups]


def _is_key(name: str) -> bool:
    """Whether a column of numbers names things instead of counting them."""
    return name in _KEYS or name.endswith("_id")


def _name(value: object) -> str:
    """Foreign text as text, short."""
    if value is None or value is pd.NA or value != value:
        return "—"
    if isinstance(value, pd.Timestamp):
        value = value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M:%S")
    return plain(_short(value))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def _hashable(value: Any) -> Any:
    """All kinds of nothing are one key."""
    return None if pd.isna(value) else value
