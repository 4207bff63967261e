"""Colours, fonts and the Plotly template of every figure, light and dark.

Categories are Okabe-Ito (told apart with every common kind of colour blindness), sequences one blue or
Cividis, differences blue-neutral-orange on a log2 scale centred on 1. Red and green are never used for
categories. Foreign text (labels, domains, tokens) passes `plain` before it enters a figure, because
Plotly renders <a> and <b>.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

Translate = Callable[[str], str]

FONT_FAMILY = "Source Sans, Noto Sans JP, Noto Sans CJK JP, Hiragino Sans, Yu Gothic UI, Meiryo, sans-serif"

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """The colours of one theme. `adaptive` and `dense` are the two sides of every comparison."""

    background: str
    card: str
    border: str
    grid: str
    ink: str
    muted: str
    primary: str
    on_primary: str
    adaptive: str
    dense: str
    accent: str
    warning: str
    sequential: tuple[tuple[float, str], ...]
    diverging: tuple[tuple[float, str], ...]


LIGHT = Palette(
    background="#F7F8FA",
    card="#FFFFFF",
    border="#DDE3EA",
    grid="#E6EBF0",
    ink="#14202E",
    muted="#4A5868",
    primary="#0B5CAD",
    on_primary="#FFFFFF",
    adaptive="#0072B2",
    dense="#A95503",
    accent="#009E73",
    warning="#D55E00",
    sequential=((0.0, "#F2F6FB"), (0.25, "#BBD6EE"), (0.5, "#6FA8DA"), (0.75, "#2372B8"), (1.0, "#0A3F78")),
    diverging=((0.0, "#1F6FB2"), (0.25, "#8DB9DD"), (0.5, "#F3F3F1"), (0.75, "#F1BE84"), (1.0, "#D97706")),
)

DARK = Palette(
    background="#0E141B",
    card="#161F2A",
    border="#27343F",
    grid="#24303C",
    ink="#E8EEF5",
    muted="#A9B7C6",
    primary="#5AB0F2",
    on_primary="#0E141B",
    adaptive="#56B4E9",
    dense="#F0A34A",
    accent="#3CC59B",
    warning="#F28A45",
    sequential=((0.0, "#1A2531"), (0.25, "#1F4468"), (0.5, "#2B6FA8"), (0.75, "#58A6E0"), (1.0, "#BFE1FA")),
    diverging=((0.0, "#4AA3E6"), (0.25, "#2A5F8A"), (0.5, "#222B35"), (0.75, "#8A5A20"), (1.0, "#F0A34A")),
)

CONFIG = {"displayModeBar": False, "responsive": True, "scrollZoom": False, "doubleClick": False, "locale": "en"}


def palette(dark: bool) -> Palette:
    """The colours of the dark or the light theme."""
    return DARK if dark else LIGHT


def plain(text: object) -> str:
    """Foreign text as text: Plotly would otherwise show links and bold type that it carries."""
    return html.escape(str(text), quote=False)


def spoken(name: object, t: Translate = str) -> str:
    """A name from the data as people read it: `travel_and_hotels` -> travel and hotels, translated where known."""
    return t(str(name).replace("_", " "))


def figure(*, dark: bool, height: int, left: int = 56, right: int = 24, top: int = 16, bottom: int = 44) -> go.Figure:
    """An empty figure with RouteLens' look: transparent, hairline grid, no legend, no mode bar."""
    colours = palette(dark)
    axis = {
        "gridcolor": colours.grid,
        "gridwidth": 1,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "tickfont": {"color": colours.muted, "size": 13},
        "title": {"font": {"color": colours.muted, "size": 13}, "standoff": 8},
        "automargin": True,
        "tickangle": 0,
        "fixedrange": True,
    }
    # one dict: building the layout step by step takes ten times as long
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "margin": {"l": left, "r": right, "t": top, "b": bottom},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT_FAMILY, "color": colours.ink, "size": 13},
            "showlegend": False,
            "dragmode": False,
            "hoverlabel": {
                "bgcolor": colours.card,
                "bordercolor": colours.border,
                "font": {"family": FONT_FAMILY, "color": colours.ink, "size": 13},
            },
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def empty(message: str, *, dark: bool, height: int = 160) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    fig = figure(dark=dark, height=height)
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    fig.add_annotation(text=message, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    fig.update_annotations(font={"color": palette(dark).muted, "size": 14})
    return fig
