"""Figures: their data and labels, in both themes, with foreign text and with nothing to show."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from moe_core.charts import counterfactual, decision, load_balance, overview, tuning
from moe_core.charts.theme import CONFIG, DARK, LIGHT, palette, plain

EXPERTS = pd.DataFrame(
    {
        "layer": [0, 0, 1, 1],
        "expert_id": [0, 1, 0, 1],
        "n": [30, 10, 20, 0],
        "load_over_ideal": [1.5, 0.5, 2.0, 0.0],
        "gate_over_ideal": [1.6, 0.4, 2.0, 0.0],
        "status": ["normal", "normal", "normal", "dead"],
    }
)
LAYERS = pd.DataFrame({"layer": [0, 1], "tokens": [40, 20], "load_entropy": [0.8, 0.0], "load_gini": [0.25, 0.5]})
ACTIVE = pd.DataFrame({"num_active": [1, 4], "tokens": [30, 10], "share": [0.75, 0.25]})
DOMAINS = pd.DataFrame({"domain": ["mail", "<b>shop</b>"], "requests": [5, 7], "expert_compute": [0.4, 0.6]})
AGREEMENT = pd.DataFrame(
    {
        "budget": [0.5, 0.25],
        "same": [10, 8],
        "n": [10, 10],
        "share": [1.0, 0.8],
        "low": [0.72, 0.49],
        "high": [1.0, 0.94],
    }
)
TOKEN = pd.DataFrame(
    {
        "layer": [0, 0, 1, 1],
        "expert_id": [0, 1, 0, 1],
        "score": [1.0, 0.3, 0.9, 1.0],
        "threshold": [0.5, 0.5, 0.5, 0.5],
        "selected": [True, False, True, True],
    }
)

POINTS = pd.DataFrame(
    {
        "rule": ["adaptive", "adaptive", "topk"],
        "budget": [0.5, 0.25, 0.25],
        "flops_ratio": [0.6, 0.4, 0.4],
        "delta": [0.0, -0.5, -2.0],
        "low": [-0.5, -1.0, -3.0],
        "high": [0.5, 0.0, -1.0],
        "n": [100, 100, 100],
    }
)
LAYER_SHARES = pd.DataFrame({"budget": [0.5, 0.5, 0.25], "layer": [0, 1, 0], "active_fraction": [0.4, 0.6, 0.2]})
HELD_OUT = pd.DataFrame(
    {"domain": ["<b>sms</b>", "mail"], "n": [9, 9], "active_fraction": [0.3, 0.4], "cosine": [0.9, 1.0]}
)
WALL = pd.DataFrame(
    {"budget": [0.5, 0.25], "regime": ["one", "batch256"], "threads": [1, 1], "ratio_wall_p50": [1.0, 0.5]}
)

SWAPS = pd.DataFrame(
    {
        "layer": [0, 1],
        "tokens": [10, 10],
        "changed": [2, 4],
        "share": [0.2, 0.4],
        "neutral": [0.1, float("nan")],
        "neutral_low": [0.0, float("nan")],
        "neutral_high": [0.3, float("nan")],
    }
)

FIGURES: list[tuple[Callable[..., go.Figure], Callable[..., str], pd.DataFrame]] = [
    (load_balance.load_heatmap, load_balance.load_heatmap_alt, EXPERTS),
    (load_balance.load_and_gate, load_balance.load_and_gate_alt, EXPERTS[EXPERTS["layer"] == 0]),
    (load_balance.evenness_by_layer, load_balance.evenness_by_layer_alt, LAYERS),
    (overview.active_experts, overview.active_experts_alt, ACTIVE),
    (tuning.quality_by_compute, tuning.quality_by_compute_alt, POINTS),
    (tuning.layers_by_budget, tuning.layers_by_budget_alt, LAYER_SHARES),
    (tuning.domains_that_pay, tuning.domains_that_pay_alt, HELD_OUT),
    (tuning.wall_by_budget, tuning.wall_by_budget_alt, WALL),
    (overview.cost_by_domain, overview.cost_by_domain_alt, DOMAINS),
    (overview.agreement_by_budget, overview.agreement_by_budget_alt, AGREEMENT),
    (counterfactual.changes_by_layer, counterfactual.changes_by_layer_alt, SWAPS),
    (decision.token_scores, decision.token_scores_alt, TOKEN),
]
IDS = [draw.__name__ for draw, _, _ in FIGURES]


def colours_of(figure: go.Figure) -> str:
    """Everything the figure says, as text."""
    text: str = figure.to_json()
    return text


@pytest.mark.parametrize(("draw", "alt", "frame"), FIGURES, ids=IDS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_figure_draws_in_both_themes(
    draw: Callable[..., go.Figure], alt: Callable[..., str], frame: pd.DataFrame, dark: bool
) -> None:
    """Transparent background, the theme's ink, no title bar, and an alternative text with a number in it."""
    figure = draw(frame, dark=dark)
    layout = figure.to_dict()["layout"]
    assert layout["paper_bgcolor"] == "rgba(0,0,0,0)"
    assert layout["font"]["color"] == palette(dark).ink
    assert len(figure.data) >= 1
    assert any(character.isdigit() for character in alt(frame))


@pytest.mark.parametrize(("draw", "alt", "frame"), FIGURES, ids=IDS)
def test_every_figure_says_when_there_is_nothing(
    draw: Callable[..., go.Figure], alt: Callable[..., str], frame: pd.DataFrame
) -> None:
    """An empty frame gives a sentence, not an empty box, and the alternative text says the same."""
    nothing = frame.iloc[0:0]
    figure = draw(nothing)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == alt(nothing)


@pytest.mark.parametrize(("draw", "alt", "frame"), FIGURES, ids=IDS)
def test_every_figure_speaks_the_visitors_language(
    draw: Callable[..., go.Figure], alt: Callable[..., str], frame: pd.DataFrame
) -> None:
    """Titles and labels pass through `t`; the alternative text does too."""
    seen: list[str] = []

    def t(message: str) -> str:
        seen.append(message)
        return message

    draw(frame, t=t)
    in_figure = len(seen)
    alt(frame, t=t)
    assert in_figure >= 1
    assert len(seen) > in_figure


def test_the_heatmap_is_log2_centred_on_the_equal_share_and_clipped() -> None:
    """1x is the middle colour, 2x one step up, and an expert that never ran sits at the lower end."""
    trace: Any = load_balance.load_heatmap(EXPERTS).data[0]
    assert (trace.zmin, trace.zmax) == (-2.0, 2.0)
    assert [list(row) for row in trace.z] == [
        [pytest.approx(0.585, abs=1e-3), pytest.approx(-1.0)],
        [pytest.approx(1.0), pytest.approx(-2.0)],
    ]


def test_the_heatmap_marks_the_busiest_and_the_unused() -> None:
    """Colour is never alone: outliers carry their number, an unused expert a 0."""
    figure = load_balance.load_heatmap(EXPERTS)
    assert {a.text for a in figure.layout.annotations} == {"2.0×", "1.5×", "0"}


def test_experts_that_were_not_recorded_keep_their_place() -> None:
    """A recorded token holds only some experts; the axis still shows all of them in order."""
    figure = decision.token_scores(TOKEN[TOKEN["expert_id"] == 1], n_experts=16)
    assert tuple(figure.layout.xaxis.range) == (-0.6, 15.6)
    assert list(figure.data[0].x) == [1]


def test_foreign_text_cannot_bring_markup_into_a_figure() -> None:
    """A domain named <b>shop</b> is shown with its angle brackets."""
    assert plain("<a href='x'>y</a> & z") == "&lt;a href='x'&gt;y&lt;/a&gt; &amp; z"
    assert "<b>" not in overview.cost_by_domain(DOMAINS).to_json().replace("\\u003cb", "<b")


def test_long_names_are_shortened() -> None:
    """A domain name of 80 characters does not push the bars out of the figure."""
    frame = pd.DataFrame({"domain": ["x" * 80], "requests": [1], "expert_compute": [0.5]})
    label = overview.cost_by_domain(frame).data[0].y[0]
    assert label.startswith("x" * 23 + "… (1)")


def test_no_mode_bar() -> None:
    """The configuration of every chart hides Plotly's tool bar."""
    assert CONFIG["displayModeBar"] is False


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two hex colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_colours_reach_wcag_aa_on_their_backgrounds(colours: Any) -> None:
    """Ink, muted, primary and the two sides of a comparison are readable as text on page and card."""
    for name in ("ink", "muted", "primary", "adaptive", "dense"):
        for background in (colours.background, colours.card):
            assert contrast(getattr(colours, name), background) >= 4.5, name
    assert contrast(colours.on_primary, colours.primary) >= 4.5
