"""The routing map: token chips and a heatmap tokens x layers x experts, as a Streamlit v2 component.

Foreign text reaches the browser as data and is shown through `textContent` and `fillText`. The page
that mounts the component shows a table with the same numbers beside it.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from moe_core.analysis.trace import TraceArrays
from moe_core.charts.theme import palette
from moe_core.dashboard.i18n import Translate

_HERE = Path(__file__).resolve().parent

_component = st.components.v2.component(
    "routelens_routing_canvas",
    html='<div class="rl-root"></div>\n',
    css=(_HERE / "canvas.css").read_text(encoding="utf-8"),
    js=(_HERE / "canvas.js").read_text(encoding="utf-8"),
)


def canvas_data(
    arrays: TraceArrays, *, selected: int, t: Translate, dark: bool, chips_only: bool = False
) -> dict[str, Any]:
    """What the component needs, as JSON; `chips_only` leaves the map away. Scores and thresholds are rounded to 1/254
    for colours and tooltip; 255 stands for a value that was not recorded."""
    _, n_layers, n_experts = arrays.active_TLE.shape
    counts = arrays.active_TLE.sum(axis=(1, 2)).astype(int).tolist()
    colours = palette(dark)
    scores, thresholds = _steps(arrays.scores_TLE), _steps(arrays.thresholds_TLE)
    active = arrays.active_TLE.astype(np.uint8).tobytes()
    ran = t("ran; brighter = larger expected contribution") if dark else t("ran; darker = larger expected contribution")
    identity = "\x1f".join([*arrays.tokens, ran]).encode()
    return {
        "key": hashlib.sha256(identity + scores + thresholds + active).hexdigest(),
        "tokens": [
            {"text": token, "special": special} for token, special in zip(arrays.tokens, arrays.is_special, strict=True)
        ],
        "counts": counts,
        "n_layers": n_layers,
        "n_experts": n_experts,
        "scores": base64.b64encode(scores).decode(),
        "thresholds": base64.b64encode(thresholds).decode(),
        "active": base64.b64encode(active).decode(),
        "selected": selected,
        "chips_only": chips_only,
        "labels": {
            "chips": t("Tokens; the number is how many experts ran for it over all layers"),
            "experts": t("experts"),
            "ran": ran,
            "tip_ran": t("ran"),
            "not_run": t("did not run"),
            "rows": t("L = layer; one row per expert, one column per token"),
            "unknown": t("not recorded"),
            "score": t("score"),
            "threshold": t("threshold"),
            "alt": routing_alt(counts, n_layers * n_experts, t=t),
        },
        "palette": {
            "ink": colours.ink,
            "muted": colours.muted,
            "border": colours.border,
            "card": colours.card,
            "accent": colours.warning,
            "primary": colours.primary,
            "off": colours.grid,
            "sequential": [list(stop) for stop in colours.sequential],
        },
    }


def _steps(values: NDArray[np.float64]) -> bytes:
    """Shares 0..1 as bytes 0..254; 255 = not recorded."""
    known = np.rint(np.clip(np.nan_to_num(values), 0.0, 1.0) * 254)
    return bytes(np.where(np.isnan(values), 255, known).astype(np.uint8).tobytes())


def routing_alt(counts: Sequence[int], total: int, *, t: Translate) -> str:
    """The heatmap in one sentence, for the canvas' aria-label."""
    if not counts:
        return t("No token was routed")
    return t("Routing map: {tokens} tokens ran {low} to {high} of {total} experts each.").format(
        tokens=len(counts), low=min(counts), high=max(counts), total=total
    )


def routing_canvas(data: Mapping[str, Any], *, key: str) -> int | None:
    """Mount the map; the position of the token that was clicked in this rerun, else None."""
    result = _component(key=key, data=dict(data), on_token_change=lambda: None)
    token = getattr(result, "token", None)
    return int(token) if token is not None else None
