"""Every page with a filled, an empty and a missing store, in both languages."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from moe_core.log import writer
from moe_core.log.index import Index
from moe_core.log.redact import redact
from moe_core.log.store import create_store
from tests.app.conftest import HOSTILE, MAIN, ROOT, Open, clear_caches, texts_of
from tests.unit.log.build import make_request, make_run, plain_batch

PAGES = (
    "overview", "live", "why_this_expert", "load_balance", "threshold_tuning", "counterfactual_lab", "fairness_audit",
    "audit_log", "sql", "expert_specialization", "expert_card",
)  # fmt: skip
LOG_PAGES = (
    "overview", "load_balance", "fairness_audit", "audit_log", "sql", "expert_specialization", "expert_card",
)  # fmt: skip
LANGUAGES = ("en", "ja")


def assert_no_error(at: AppTest) -> None:
    """No exception, and no error panel."""
    assert not at.exception, at.exception
    assert not {"This did not work", "処理できませんでした"} & {h.value for h in at.header}, texts_of(at)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_a_filled_store(open_page: Open, sample_store: Path, page: str, lang: str) -> None:
    """One title, no error, and the other language is nowhere in the headings."""
    at = open_page(sample_store, page, lang)
    assert_no_error(at)
    assert len(at.title) == 1
    japanese = any(
        "\u3040" <= character <= "\u30ff" for heading in [*at.title, *at.header] for character in heading.value
    )
    assert japanese == (lang == "ja")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("page", LOG_PAGES)
def test_an_empty_store_offers_the_demo_and_names_the_command(
    open_page: Open, tmp_path: Path, page: str, lang: str
) -> None:
    """Nothing recorded: no chart, no number, but the command that fills the store and one button."""
    create_store(tmp_path / "empty")
    at = open_page(tmp_path / "empty", page, lang)
    assert_no_error(at)
    assert not at.metric
    assert any("routelens infer" in code.value for code in at.code)
    assert at.button(key="first_start_demo")


@pytest.mark.parametrize("page", LOG_PAGES)
def test_a_missing_store_looks_like_an_empty_one_and_is_not_created(
    open_page: Open, missing_store: Path, page: str
) -> None:
    """Looking at a page writes nothing."""
    at = open_page(missing_store, page)
    assert_no_error(at)
    assert at.button(key="first_start_demo")
    assert not missing_store.exists()


def test_the_demo_runs_in_one_click_and_is_labelled(open_page: Open, missing_store: Path, demo_file: Path) -> None:
    """After the click the overview has its finding, and says that it is demo data."""
    at = open_page(missing_store)
    at.button(key="first_start_demo").click().run()
    assert_no_error(at)
    assert "dense original over 60 requests" in at.title[0].value
    assert any(m.value == "Includes demo data" for m in at.markdown)
    with Index.open_private(missing_store) as index:
        runs = index.frame("SELECT source, mode, count(*) AS n FROM runs GROUP BY ALL ORDER BY ALL")
    assert runs.values.tolist() == [["demo", "adaptive", 2], ["demo", "dense", 1]]


def test_a_missing_demo_file_is_one_sentence(open_page: Open, missing_store: Path, demo_file: Path) -> None:
    """A damaged installation shows a panel, not a traceback."""
    demo_file.unlink()
    at = open_page(missing_store)
    at.button(key="first_start_demo").click().run()
    assert not at.exception
    assert any("demo requests are missing" in text.value for text in at.text)


def test_the_overview_title_is_the_finding_with_its_n(open_page: Open, sample_store: Path) -> None:
    """80 adaptive requests were recorded; every number card says what it rests on."""
    at = open_page(sample_store)
    assert "dense original over 80 requests" in at.title[0].value
    assert [m.label for m in at.metric] == [
        "Expert compute",
        "Whole-encoder FLOPs",
        "Same answer as dense",
        "Busiest expert",
    ]
    bases = [c.value for c in at.caption if "n\u00a0=\u00a0" in c.value]
    assert len(bases) >= 4


def test_presentation_mode_shows_three_sentences_with_figures(open_page: Open, sample_store: Path) -> None:
    """Each sentence carries a measured figure, and what it does not show."""
    at = open_page(sample_store, lang="ja")
    at.toggle(key="overview_presentation").set_value(True).run()
    assert_no_error(at)
    headings = [h.value for h in at.header]
    assert headings[:3] == [
        "重要なデータにだけ計算資源を集中させる設計です",
        "平均コストを下げつつ、必要時は性能を確保します",
        "段階的導入でリスクを抑えられます",
    ]
    assert sum("この数値が示さないこと" in c.value for c in at.caption) == 3


def test_a_sentence_without_measurement_says_so(open_page: Open, sample_store: Path) -> None:
    """Without dense answers the sentences about performance and roll-out are not supported, and say what would."""
    import shutil

    with Index.open_private(sample_store) as index:
        dense = index.frame("SELECT run_id FROM runs WHERE mode = 'dense'")["run_id"].iloc[0]
    for folder in ("segments", "requests"):
        shutil.rmtree(sample_store / folder / f"run={dense}", ignore_errors=True)
    at = open_page(sample_store)
    at.toggle(key="overview_presentation").set_value(True).run()
    assert not at.exception
    assert sum("Not supported by a measurement yet" in m.value for m in at.markdown) == 2
    assert sum(c.value.startswith("What would support it") for c in at.caption) == 2


def test_a_filter_changes_the_answer(open_page: Open, sample_store: Path) -> None:
    """Load balance of one domain counts only that domain's tokens."""
    at = open_page(sample_store, "load_balance")
    everything = at.dataframe[0].value["Tokens (n)"].iloc[0]
    at.selectbox(key="load_domain").set_value("mail").run()
    assert_no_error(at)
    mail = at.dataframe[0].value["Tokens (n)"].iloc[0]
    at.selectbox(key="load_domain").set_value("web_shop").run()
    assert mail + at.dataframe[0].value["Tokens (n)"].iloc[0] == everything


def test_a_link_carries_its_filters(open_page: Open, sample_store: Path) -> None:
    """A shared link opens with the domain that it names; one that does not exist falls back to all."""
    at = open_page(sample_store, "load_balance", domain="mail")
    assert at.selectbox(key="load_domain").value == "mail"
    at = open_page(sample_store, "load_balance", domain="no such domain")
    assert_no_error(at)
    assert at.selectbox(key="load_domain").value == ""


def test_a_dense_run_has_no_load_to_balance(open_page: Open, sample_store: Path) -> None:
    """Only runs that decided something can be chosen."""
    at = open_page(sample_store, "load_balance")
    assert len(at.selectbox(key="load_run").options) == 3  # all adaptive runs, and the two of them


def test_a_live_answer_is_shown_and_recorded(open_page: Open, missing_store: Path) -> None:
    """Text in: answer, agreement, cost and time out; both answers are in the log when the page is done."""
    at = open_page(missing_store, "live")
    at.text_area(key="live_text").set_value("the parcel never arrived")
    at.button[0].click().run()
    assert_no_error(at)
    assert [m.label for m in at.metric][:2] == ["Answer", "Same answer as dense?"]
    assert at.metric[0].value in ("negative", "positive")
    with Index.open_private(missing_store) as index:
        rows = index.frame("SELECT mode, text, label FROM requests ORDER BY mode")
    assert rows["mode"].tolist() == ["adaptive", "dense"]
    assert set(rows["text"]) == {"the parcel never arrived"}
    assert rows["label"].iloc[0] == at.metric[0].value


def test_recording_can_be_switched_off(open_page: Open, missing_store: Path) -> None:
    """With recording off the answer is the same and nothing is written."""
    at = open_page(missing_store, "live")
    at.text_area(key="live_text").set_value("the parcel never arrived")
    at.toggle(key="live_record").set_value(False)
    at.button[0].click().run()
    assert_no_error(at)
    assert at.metric
    assert not missing_store.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("   \n\t", "empty", id="whitespace"),
        pytest.param("x" * 60_000, "characters", id="too many characters"),
        pytest.param("box " * 200, "tokens", id="too many tokens"),
    ],
)
def test_a_text_that_cannot_be_read_is_one_sentence(
    open_page: Open, missing_store: Path, text: str, words: str
) -> None:
    """Bad input ends in the error panel with what, where and what to do; the form stays."""
    at = open_page(missing_store, "live")
    at.text_area(key="live_text").set_value(text)
    at.button[0].click().run()
    assert not at.exception
    assert any(words in t.value for t in at.text)
    assert at.text_area(key="live_text")
    assert not missing_store.exists() or not list(missing_store.rglob("*.parquet"))


def test_a_request_opens_by_link_with_every_decision(open_page: Open, sample_store: Path) -> None:
    """The audit log shows as many decisions as the log holds for the request."""
    with Index.open_private(sample_store) as index:
        row = index.frame(
            "SELECT request_id, count(*) AS n FROM decisions GROUP BY request_id ORDER BY request_id LIMIT 1"
        ).iloc[0]
    at = open_page(sample_store, "audit_log", request=str(row["request_id"]))
    assert_no_error(at)
    assert {m.label: m.value for m in at.metric}["Decisions"] == f"{row['n']:,}"


def test_a_redacted_request_opens_and_shows_every_decision(open_page: Open, sample_store: Path) -> None:
    """An open page is told that the text is erased; decisions and numbers stay, and so do the other pages."""
    with Index.open_private(sample_store) as index:
        row = index.frame(
            "SELECT request_id, any_value(text) AS text, count(*) AS n FROM decisions JOIN requests USING (request_id) "
            "GROUP BY request_id ORDER BY request_id LIMIT 1"
        ).iloc[0]
    at = open_page(sample_store, "audit_log", request=str(row["request_id"]))
    assert any(t.value == row["text"] for t in at.text)
    redact(sample_store, str(row["request_id"]))
    for page in set(LOG_PAGES) - {"expert_card"}:  # shows the same text of another request
        at = open_page(sample_store, page, request=str(row["request_id"]))
        assert_no_error(at)
        assert not any(row["text"] == t.value for t in at.text)
    at = open_page(sample_store, "audit_log", request=str(row["request_id"]))
    assert any(t.value == "(erased)" for t in at.text)
    assert {m.label: m.value for m in at.metric}["Decisions"] == f"{row['n']:,}"


def test_an_unknown_request_is_one_sentence(open_page: Open, sample_store: Path) -> None:
    """A wrong id says so; the rest of the page stays."""
    at = open_page(sample_store, "audit_log", request="nothing-like-this")
    assert not at.exception
    assert any("nothing-like-this" in t.value for t in at.text)
    assert at.dataframe


def test_the_search_finds_text_literally(open_page: Open, sample_store: Path) -> None:
    """A hostile text is found by its characters, and shown as text in the table only."""
    at = open_page(sample_store, "audit_log")
    at.text_input(key="audit_search").set_value("<IMG src").run()
    assert_no_error(at)
    assert at.dataframe[0].value["Text"].tolist() == [HOSTILE] * 3
    assert not any("<img" in m.value for m in [*at.markdown, *at.caption, *at.title, *at.header])


def test_the_chain_is_verified_and_a_flipped_bit_is_found(open_page: Open, sample_store: Path) -> None:
    """Intact first; after one changed byte the same button reports it."""
    at = open_page(sample_store, "audit_log")
    at.button(key="audit_verify").click().run()
    assert any("**Intact**" in m.value for m in at.markdown)
    victim = max(sample_store.rglob("segments/**/*.parquet"), key=lambda path: path.stat().st_size)
    raw = bytearray(victim.read_bytes())
    raw[len(raw) // 2] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(raw)
    at.button(key="audit_verify").click().run()
    assert not at.exception
    assert any("**Changed or damaged**" in m.value for m in at.markdown)


def test_a_store_of_a_newer_version_is_one_sentence(open_page: Open, sample_store: Path) -> None:
    """A store that this RouteLens cannot read ends in a panel on every page that shows the log."""
    (sample_store / "store.json").write_text('{"schema_version": 999}', encoding="utf-8")
    for page in LOG_PAGES:
        at = open_page(sample_store, page)
        assert not at.exception
        assert any("999" in t.value for t in at.text), texts_of(at)


def test_new_records_of_another_writer_are_on_the_page(open_page: Open, sample_store: Path, tiny_model: object) -> None:
    """What another sink recorded after the page was opened is shown by the next run of the watching fragment."""
    from moe_core.dashboard import resources
    from moe_core.dashboard.recorder import LiveRecorder
    from moe_core.model.requests import Setting

    at = open_page(sample_store)
    recorder = LiveRecorder(tiny_model, sample_store)  # type: ignore[arg-type]
    recorder.answer(Setting(mode="adaptive", budget=0.5, head="sentiment"), "the box is late")
    recorder.close()
    resources.index(sample_store).refresh()
    at.run()
    assert "over 81 requests" in at.title[0].value


def test_a_missing_model_is_one_sentence_on_the_live_page_only(
    missing_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model folder there is no form, but a title and a sentence that says what is missing."""
    clear_caches()
    monkeypatch.setenv("ROUTELENS_STORE", str(missing_store))
    monkeypatch.setenv("ROUTELENS_MODEL", str(tmp_path / "no-model"))
    at = AppTest.from_file(str(MAIN), default_timeout=60)
    at.switch_page(str(ROOT / "pages" / "live.py")).run()
    assert not at.exception
    assert len(at.title) == 1
    assert not at.text_area
    assert any("no-model" in text.value for text in at.text)
    clear_caches()


def test_an_unexpected_error_shows_a_reference_instead_of_a_traceback(
    open_page: Open, sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug ends in a panel with a number that the server's log has too."""
    from moe_core.dashboard import data

    def broken(ctx: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(data, "overview_data", broken)
    at = open_page(sample_store)
    assert not at.exception
    assert [title.value for title in at.title] == ["This page cannot be shown"]
    assert any("log has the details under" in text.value for text in at.text)
    assert "secret detail" not in texts_of(at)


def test_damaged_parts_are_named_on_every_page_that_counts(open_page: Open, sample_store: Path) -> None:
    """A file that does not match its checksum is not counted, and the pages say so."""
    victim = max(sample_store.rglob("segments/**/*.parquet"), key=lambda path: path.stat().st_size)
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-8] + b"damaged!")
    for page in LOG_PAGES:
        at = open_page(sample_store, page)
        assert not at.exception
        assert any("left out of all numbers" in m.value for m in at.markdown), page
        assert any(victim.name in text.value for text in at.text), page


@pytest.mark.parametrize(("lang", "word"), [("en", "incomplete"), ("ja", "不完全")])
def test_an_incomplete_run_is_named(
    open_page: Open, sample_store: Path, monkeypatch: pytest.MonkeyPatch, lang: str, word: str
) -> None:
    """The audit log says how many requests of which run were never recorded; without such a run there is no notice."""
    assert not any(word in m.value for m in open_page(sample_store, "audit_log", lang).markdown)
    monkeypatch.setattr(writer, "BUFFER_LIMIT", 0)
    with writer.SegmentSink(sample_store, when_full="incomplete") as sink:
        sink.begin_run(make_run("hurried<b>"))
        sink.append([make_request("lost", 2)], plain_batch([2]))
    clear_caches()
    at = open_page(sample_store, "audit_log", lang)
    assert_no_error(at)
    assert any(word in m.value for m in at.markdown)
    (notice,) = [text.value for text in at.text if "hurried<b>" in text.value]
    assert "1" in notice
    assert "8" in notice
