"""The style sheet of the frame: cards, captions, the language switch in the top bar, print of large text.

Colours are written out because the `--st-*` variables do not exist outside components.
"""

from moe_core.charts.theme import palette


def style_sheet(*, dark: bool) -> str:
    """A <style> element for `st.html`, from our own constants only."""
    colours = palette(dark)
    primary_ink = "#0E141B" if dark else "#FFFFFF"
    return f"""<style>
[data-testid="stMainBlockContainer"] {{ max-width: 1320px; }}
[data-testid="stHeader"] {{ background: {colours.background}; border-bottom: 1px solid {colours.border}; }}
[class*="st-key-card"] {{
  background: {colours.card}; border: 1px solid {colours.border}; border-radius: .6rem; padding: 1.05rem 1.2rem;
}}
[class*="st-key-card"] [data-testid="stHeading"] {{ padding-bottom: 0; }}
[class*="st-key-card"] h2, [class*="st-key-card"] h3 {{ padding: 0 0 .25rem 0; }}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {{ color: {colours.muted}; opacity: 1; }}
[class*="st-key-inline_code"] [data-testid="stCode"] pre {{ padding: .2rem 2.4rem .2rem .6rem; }}
[class*="st-key-metrics4_"] [data-testid="stColumn"] {{ min-width: 160px; }}
[class*="st-key-metrics5_"] [data-testid="stColumn"] {{ min-width: 200px; }}
[data-testid="stMetricLabel"], [data-testid="stMetricLabel"] p {{ color: {colours.muted}; white-space: normal; }}
[class*="st-key-charts_"] [data-testid="stColumn"] {{ min-width: 400px; }}
[data-testid="stMetricValue"] {{ font-variant-numeric: tabular-nums; }}
[data-testid="stMain"] h1 {{ padding: .1rem 0 .8rem 0; text-wrap: balance; }}
[class*="st-key-frame_language"] {{
  position: fixed; top: .62rem; right: 3.6rem; z-index: 999991; width: auto !important;
}}
[class*="st-key-document_language"] {{ position: absolute; }}
[class*="st-key-eyebrow"] p {{ margin: 0; }}
:lang(ja) {{ word-break: auto-phrase; }}
[class*="st-key-eyebrow"] p {{ color: {colours.muted}; font-size: .93rem; }}
button[kind="primary"], button[kind="primaryFormSubmit"] {{ color: {primary_ink} !important; }}
button[kind="primary"] p, button[kind="primaryFormSubmit"] p {{ color: {primary_ink} !important; font-weight: 600; }}
[class*="st-key-card_left_out"], [class*="st-key-card_error"] {{ border-left: 4px solid {colours.warning}; }}
[class*="st-key-badge_demo"] p {{
  display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-size: .86rem; font-weight: 600;
  color: {colours.ink}; border: 1px solid {colours.dense}; margin: 0;
}}
[class*="st-key-card_statement"] {{ padding: 1.4rem 1.7rem; }}
[class*="st-key-card_statement"] h2 {{ font-size: 1.8rem; line-height: 1.35; text-wrap: balance; }}
[class*="st-key-statement_figure"] [data-testid="stMarkdown"] p {{
  font-size: 3.3rem; font-weight: 650; line-height: 1.15; color: {colours.primary}; margin: 0; white-space: nowrap;
}}
[class*="st-key-statement_figure"] [data-testid="stMarkdown"] [data-testid="stCaptionContainer"] p {{
  font-size: 1.1rem; font-weight: 400; line-height: 1.4; color: {colours.muted}; white-space: normal;
}}
[class*="st-key-statement_figure"] [data-testid="stCaptionContainer"] {{ margin-top: 1rem; }}
[class*="st-key-statement_open"] p {{ font-size: 1.5rem; font-weight: 650; color: {colours.muted}; margin: 0; }}
[class*="st-key-card_statement"] [data-testid="stCaptionContainer"] p {{ font-size: 1rem; line-height: 1.5; }}
</style>"""
