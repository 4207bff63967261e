"""The dashboard in a real browser: what AppTest cannot see."""

import json
import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server, Watched, infer

pytestmark = pytest.mark.browser

PAGES = (
    "overview", "live", "why_this_expert", "load_balance", "expert_card", "counterfactual_lab", "fairness_audit",
    "audit_log", "sql",
)  # fmt: skip
TEXT = "The parcel never arrived and nobody answers."
HOSTILE = '<img src=x onerror="window.hacked=1"> ![p](http://example.invalid/p.png) <script>window.hacked=1</script>'


def run_text(page: Page, text: str) -> None:
    """Type a text on the live page, send it, wait for its map."""
    page.fill("textarea", text)
    page.locator(".st-key-live_run button").click()
    page.wait_for_selector("canvas.rl-canvas", timeout=60_000)


def drawn_colours(page: Page) -> int:
    """How many different colours the heatmap holds."""
    return int(
        page.locator("canvas.rl-canvas").evaluate(
            """canvas => {
              const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
              const seen = new Set()
              for (let i = 0; i < data.length; i += 4) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`)
              return seen.size
            }"""
        )
    )


def test_a_text_gets_an_answer_and_a_map(server: Server, watched: Watched) -> None:
    """Type a text: the answer is the one of the command line, the heatmap is drawn, a token opens by keyboard."""
    page = watched.page
    watched.open("live?lang=en")
    run_text(page, TEXT)
    answer = page.locator(".st-key-card_live_answer_score [data-testid=stMetricValue]")
    expect(answer).to_have_text(json.loads(infer(server.store, TEXT, "--no-log"))["requests"][0]["label"])
    expect(page.locator("h1")).to_contain_text("dense original")
    assert drawn_colours(page) > 10
    chips = page.locator("button.rl-chip")
    expect(chips).to_have_count(10)
    assert chips.nth(2).inner_text().startswith("parcel")
    chips.nth(2).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(chips.nth(3)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[class*=st-key-inline_code_live_token]")).to_contain_text("never")
    assert "10 tokens" in str(page.locator("canvas.rl-canvas").get_attribute("aria-label"))


@pytest.mark.parametrize(("lang", "theme"), [("en", "light"), ("ja", "dark")])
@pytest.mark.parametrize("path", PAGES)
def test_a_cold_deep_link_opens_its_page(
    watched: Watched, path: str, lang: str, theme: Literal["light", "dark"]
) -> None:
    """The first visit of a fresh server is a link to a page: frame, page and language are right."""
    page = watched.page
    page.emulate_media(color_scheme=theme)
    watched.open(f"{path}?lang={lang}")
    expect(page.locator("html")).to_have_attribute("lang", lang)
    expect(page.get_by_role("radio", name="日本語")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    title = page.inner_text("h1")
    assert any("\u3040" <= character <= "\u30ff" for character in title) == (lang == "ja")
    assert f"lang={lang}" in page.url


def test_a_recorded_answer_is_explained_by_its_link(server: Server, watched: Watched) -> None:
    """From live inference to the explanation; another token by keyboard moves the link; hostile text stays text."""
    page = watched.page
    watched.open("live?lang=en")
    run_text(page, f"{TEXT} {HOSTILE}")
    page.get_by_role("link", name="Explain one of these decisions").click()
    page.wait_for_selector(".st-key-card_why_tables", timeout=120_000)
    expect(page.locator("h1")).to_contain_text("in layer")
    assert {"request=", "position=", "layer=", "expert="} <= {part.split("=")[0] + "=" for part in
                                                              page.url.split("?")[1].split("&")}  # fmt: skip
    chips = page.locator("button.rl-chip")
    chips.nth(2).focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("parcel", timeout=60_000)
    assert "position=2" in page.url
    assert page.evaluate("window.hacked") is None


def test_the_language_switch_keeps_the_page(watched: Watched) -> None:
    """English to Japanese and on to another page: the link and the pages follow."""
    page = watched.page
    watched.open("live?lang=en")
    page.get_by_role("radio", name="日本語").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.get_by_text("監査", exact=True).first.click()
    page.get_by_text("監査ログ", exact=True).first.click()
    page.wait_for_url("**/audit_log?lang=ja")
    expect(page.locator("h1")).to_contain_text("記録")


def test_a_change_of_theme_reaches_cards_and_charts(server: Server, watched: Watched) -> None:
    """The visitor changes the theme while the page is open: cards at once, charts with the next run."""
    infer(server.store, TEXT)
    page = watched.page
    page.emulate_media(color_scheme="light")
    watched.open("overview?lang=en")
    card = page.locator(".st-key-card_overview_load")
    tick = page.locator(".js-plotly-plot .xtick text").first
    expect(card).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(tick).to_have_css("fill", "rgb(74, 88, 104)")
    page.emulate_media(color_scheme="dark")
    expect(card).to_have_css("background-color", "rgb(22, 31, 42)")
    expect(tick).to_have_css("fill", "rgb(169, 183, 198)", timeout=20_000)
    page.emulate_media(color_scheme="light")
    expect(tick).to_have_css("fill", "rgb(74, 88, 104)", timeout=20_000)


def test_foreign_text_is_shown_as_text_on_every_page(server: Server, watched: Watched, tmp_path: Path) -> None:
    """Markup in texts and domain names stays text: nothing runs, nothing is fetched, no picture appears."""
    source = tmp_path / "hostile.jsonl"
    source.write_text(json.dumps({"text": HOSTILE, "place": HOSTILE[:60]}) + "\n", encoding="utf-8")
    infer(server.store, "--file", str(source), "--domain", "place")
    page = watched.page
    watched.open("live?lang=en")
    run_text(page, HOSTILE)
    assert "<" in [chip.inner_text().split()[0] for chip in page.locator("button.rl-chip").all()]
    for path in PAGES:
        watched.open(f"{path}?lang=en")
        page.wait_for_timeout(1500)
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src='x'], img[src*='example.invalid']").count() == 0
    request_id = json.loads(infer(server.store, HOSTILE))["requests"][0]["request_id"]
    watched.open(f"audit_log?lang=en&request={request_id}")
    expect(page.locator(".st-key-card_audit_request_text")).to_contain_text('onerror="window.hacked=1"', timeout=20_000)
    page.wait_for_selector("button.rl-chip", timeout=30_000)
    assert page.evaluate("window.hacked") is None


def test_records_of_another_process_appear_by_themselves(server: Server, watched: Watched) -> None:
    """The page is open while `routelens infer` records in a process of its own; nobody reloads."""
    page = watched.page
    infer(server.store, TEXT)
    watched.open("overview?lang=en")
    expect(page.locator("h1")).to_contain_text("in one request", timeout=20_000)
    infer(server.store, TEXT, "Thanks, all good.")
    expect(page.locator("h1")).to_contain_text("over 3 requests", timeout=20_000)


def test_first_record_of_another_process_replaces_the_first_start(server: Server, watched: Watched) -> None:
    """A page that waits with an empty store shows the first record without a reload."""
    page = watched.page
    watched.open("audit_log?lang=en")
    expect(page.get_by_role("button", name="Run the demo requests")).to_be_visible()
    infer(server.store, TEXT)
    expect(page.locator("h1")).to_contain_text("One request with", timeout=20_000)


def test_the_log_answers_an_example_and_refuses_to_lose_a_table(server: Server, watched: Watched) -> None:
    """Choose an example, run it, see rows and save them; a DROP and a file read are refused in words; hostile texts and
    names of columns stay text."""
    infer(server.store, TEXT, HOSTILE)
    page = watched.page
    watched.open("sql?lang=en")
    page.locator(".st-key-sql_example input").click()
    page.get_by_role("option", name="How many experts does a token run in each layer?").click()
    editor = page.locator(".st-key-sql_text textarea")
    table = page.locator(".st-key-card_sql_answer [data-testid=stDataFrame]")
    chart = page.locator(".st-key-card_sql_chart .js-plotly-plot")
    expect(editor).to_have_value(re.compile("experts_per_token"))
    expect(page).to_have_url(re.compile("example=experts_per_token"))
    page.locator(".st-key-sql_run button").click()
    expect(page.locator("h1")).to_contain_text("6 rows, in", timeout=30_000)
    expect(table).to_have_count(1, timeout=20_000)  # while a page is drawn anew, cards may hold others' tables
    expect(table).to_be_visible()
    expect(chart).to_be_visible()
    with page.expect_download() as download:
        page.locator(".st-key-sql_csv button").click()
    assert download.value.path().read_text(encoding="utf-8-sig").startswith("layer,tokens,experts_per_token,")
    for sql, reason in (
        ("DROP TABLE runs", "exactly one SELECT; this is: DROP"),
        ("SELECT * FROM read_csv('/etc/passwd')", "does not allow read_csv()"),
    ):
        editor.fill(sql)
        page.locator(".st-key-sql_run button").click()
        expect(page.locator(".st-key-card_error")).to_contain_text(reason, timeout=30_000)
        expect(table).to_have_count(0)
    editor.fill(
        f"""SELECT text AS "<img src=x onerror='window.hacked=1'>", text, n_tokens FROM requests -- {HOSTILE}"""
    )
    page.locator(".st-key-sql_run button").click()
    expect(page.locator("h1")).to_contain_text("2 rows, in", timeout=30_000)
    expect(chart).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x'], img[src*='example.invalid']").count() == 0
