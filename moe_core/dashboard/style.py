"""The style sheet of the frame: `frame.css`, with the colours of both themes as CSS variables.

The variables are our own, because the `--st-*` variables do not exist outside components. Which set counts is
marked on the document by `document.py`, so that a change of the theme needs no rerun; before the mark is there,
the browser's preference counts.
"""

from functools import cache
from pathlib import Path

from moe_core.charts.theme import DARK, LIGHT, Palette

_NAMES = ("background", "border", "card", "muted", "ink", "dense", "warning", "primary", "on_primary")


@cache
def style_sheet() -> str:
    """A <style> element for `st.html`, from our own constants only."""
    light, dark = _variables(LIGHT), _variables(DARK)
    frame = (Path(__file__).resolve().parent / "frame.css").read_text(encoding="utf-8")
    return (
        f"<style>:root {{ {light} }}\n"
        f'@media (prefers-color-scheme: dark) {{ :root:not([data-routelens-theme="light"]) {{ {dark} }} }}\n'
        f':root[data-routelens-theme="dark"] {{ {dark} }}\n{frame}</style>'
    )


def stamp(text: str) -> str:
    """A <style> element that repeats a short text of our own, slanted, across the result of an audit; the empty text
    after the slash is what screen readers get, since the page's title says it already."""
    safe = "".join(character for character in text if character.isalnum() or character == " ")
    repeated = " · ".join([safe] * 1200)
    return f'<style>[class*="st-key-fairness_result"]::before {{ content: "{repeated}" / ""; }}</style>'


def _variables(colours: Palette) -> str:
    """The colours of one theme as CSS variables."""
    return " ".join(f"--rl-{name.replace('_', '-')}: {getattr(colours, name)};" for name in _NAMES)
