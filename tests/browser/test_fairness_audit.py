"""The audit page in a real browser: press the button, see three verdicts."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from moe_core.log.imports.parquet import import_parquet
from tests.browser.conftest import Server, Watched
from tests.unit.cli.foreign_logs import Shape, make_log, write_log

pytestmark = pytest.mark.browser

FINDINGS = {
    "en": ("◆ difference found", "○ none found", "◆ difference found"),
    "ja": ("◆ 差あり", "○ 差は見つからず", "◆ 差あり"),
}


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_button_gives_three_verdicts(server: Server, watched: Watched, tmp_path: Path, lang: str) -> None:
    """A run with a planted difference and unequal answers, and a newer one of two requests: the page begins with the
    one that can be compared, and says what each verdict found; windows open below."""
    shape = Shape(layers=3, median_tokens=20, moved=((1, 3, 1.2),))
    group = ["a", "b"] * 60
    log = make_log(np.random.default_rng(1), group, shape)
    label = ["yes" if name == "a" or number % 3 == 0 else "no" for number, name in enumerate(group)]
    days = [f"2026-03-0{1 + number // 60}T08:00:00Z" for number in range(120)]
    write_log(tmp_path / "in", log, shape, run_id="large", label=label, started_at=days)
    import_parquet(tmp_path / "in", server.store)
    late = make_log(np.random.default_rng(2), ["a", "b"], shape)
    write_log(tmp_path / "late", late, shape, run_id="late", started_at=["2026-03-09T08:00:00Z"] * 2)
    import_parquet(tmp_path / "late", server.store)
    page = watched.page
    watched.open(f"fairness_audit?lang={lang}")
    expect(page.locator(".st-key-fairness_runs")).to_contain_text("n = 120", timeout=60_000)
    page.locator(".st-key-fairness_run button").click()
    cards = [page.locator(f".st-key-card_fairness_{name}") for name in ("routing", "compute", "outcome")]
    for card, found in zip(cards, FINDINGS[lang], strict=True):
        expect(card).to_contain_text(found, timeout=60_000)
    expect(cards[0]).to_contain_text("n = 120")
    page.locator(".st-key-fairness_time summary").click()
    expect(page.locator(".st-key-fairness_time .js-plotly-plot")).to_be_visible(timeout=60_000)
