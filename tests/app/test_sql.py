"""The SQL page: examples, answers, refusals, and a log that is empty or missing."""

import threading
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from moe_core.dashboard import sql_form
from moe_core.dashboard.log_schema import RELATIONS
from moe_core.log.console import run_select
from moe_core.log.questions import NAMES, stock_question, stock_questions
from moe_core.log.store import create_store
from tests.app.conftest import HOSTILE, ROOT, Open, texts_of


def ask(at: AppTest, sql: str) -> AppTest:
    """Write a statement and run it."""
    at.text_area(key="sql_text").set_value(sql)
    return at.button(key="sql_run").click().run()


def answered(at: AppTest) -> list[list[object]]:
    """The rows that the page shows."""
    assert not at.exception
    return [list(row) for row in at.dataframe[0].value.itertuples(index=False)]


@pytest.mark.parametrize("name", ["load_by_expert", "closest_calls", "runs_compared"])
def test_an_example_runs(open_page: Open, sample_store: Path, name: str) -> None:
    """Choose it, run it: the rows of the command line, with a chart and two files."""
    at = open_page(sample_store, "sql")
    at.selectbox(key="sql_example").set_value(name).run()
    assert at.text_area(key="sql_text").value == stock_question(name).sql
    at.button(key="sql_run").click().run()
    expected = run_select(sample_store, stock_question(name).sql)
    assert len(answered(at)) == len(expected.rows)
    assert at.dataframe[0].value.columns.tolist() == expected.columns
    assert at.title[0].value.startswith(f"{len(expected.rows)} rows, in ")
    assert at.get("plotly_chart")
    assert [button.label for button in at.get("download_button")] == ["Download CSV", "Download Parquet"]


def test_a_link_opens_with_its_example(open_page: Open, sample_store: Path) -> None:
    """The question stands in the editor; it is not run before somebody wants it."""
    at = open_page(sample_store, "sql", example="hours")
    assert at.text_area(key="sql_text").value == stock_question("hours").sql
    assert at.title[0].value == "Ask the log a question of your own"


def test_a_draft_survives_a_look_at_another_page(open_page: Open, sample_store: Path) -> None:
    """Example, changed text and answer are there again; a link to another example wins."""
    at = open_page(sample_store, "sql")
    at.selectbox(key="sql_example").set_value("hours").run()
    at = ask(at, "select 7 as mine")
    at.switch_page(str(ROOT / "pages" / "overview.py")).run()
    at.query_params.pop("example", None)
    at.switch_page(str(ROOT / "pages" / "sql.py")).run()
    assert at.selectbox(key="sql_example").value == "hours"
    assert at.text_area(key="sql_text").value == "select 7 as mine"
    assert answered(at) == [[7]]


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("drop table runs", "exactly one SELECT; this is: DROP"),
        ("select nope from runs", "Binder Error"),
        ("select * from read_csv('/etc/passwd')", "does not allow read_csv()"),
        ("select repeat('x', 2000000000)", "more than 512 MB of memory"),
        ("", "this is: nothing"),
    ],
)
def test_a_bad_statement_is_one_sentence(open_page: Open, sample_store: Path, sql: str, reason: str, lang: str) -> None:
    """In the panel of all errors, in words around DuckDB's own; the editor keeps what was written."""
    at = ask(open_page(sample_store, "sql", lang), sql)
    assert not at.exception
    assert any(reason in text.value for text in at.text), texts_of(at)
    assert ("This did not work" if lang == "en" else "処理できませんでした") in [h.value for h in at.header]
    assert at.text_area(key="sql_text").value == sql
    assert not at.get("plotly_chart")


def test_a_refusal_stays_until_the_next_question(open_page: Open, sample_store: Path) -> None:
    """A good answer takes its place, and the other way round."""
    at = ask(open_page(sample_store, "sql"), "select 1 as one")
    assert answered(at) == [[1]]
    assert at.title[0].value.startswith("One row")
    at = ask(at, "select")
    assert "This did not work" in [h.value for h in at.header]
    at = ask(at.run(), "select 2 as two")
    assert answered(at) == [[2]]
    assert "This did not work" not in [h.value for h in at.header]


def test_the_page_speaks_japanese(open_page: Open, sample_store: Path) -> None:
    """Title, headings, example questions and meanings of columns; SQL and names stay as they are."""
    at = open_page(sample_store, "sql", "ja")
    at.button(key="sql_run").click().run()
    assert "秒で回答しました" in at.title[0].value
    assert all(any("\u3040" <= c <= "\u30ff" for c in option) for option in at.selectbox(key="sql_example").options)
    assert at.dataframe[1].value.columns.tolist() == ["列", "型", "意味"]
    assert "-- Title:" in str(at.text_area(key="sql_text").value)


def test_a_long_answer_says_where_it_was_cut(
    open_page: Open, sample_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By rows and by bytes, in the caption of the table and in the title."""
    at = ask(open_page(sample_store, "sql"), "select * from range(20000)")
    assert len(answered(at)) == 10_000
    assert at.title[0].value.startswith("The first 10,000 rows")
    assert any(c.value.startswith("Cut after 10,000 rows of 1 columns") for c in at.caption)
    monkeypatch.setattr(sql_form, "MAX_BYTES", 1000)
    at = ask(at, "select repeat('x', 300) as x from range(20)")
    assert len(answered(at)) == 3
    assert any("MB; ask for less" in c.value for c in at.caption)


def test_strange_columns_are_shown(open_page: Open, sample_store: Path) -> None:
    """Markup, twins, empty names, lists, nothing but null: all cells are text, and the page stays whole."""
    sql = (
        'select text as "<img src=x onerror=alert(1)>", 1 as "a", 2 as "a", [1, 2] as list, null as "null", '
        "date '2026-01-02' as day, 'nan'::double as nan, 2::hugeint ** 70 as big, true as yes, "
        "map {'k': '**b**'} as map from requests order by length(text) limit 3"
    )
    at = ask(open_page(sample_store, "sql"), sql)
    frame = at.dataframe[0].value
    assert not at.exception
    assert frame.columns.tolist()[:3] == ["<img src=x onerror=alert(1)>", "a", "a_2"]
    assert HOSTILE not in texts_of(at)
    assert frame["list"].tolist() == ["[1, 2]"] * 3
    for key in [box.key for box in at.selectbox if str(box.key).startswith("sql_chart_")]:
        for option in at.selectbox(key=key).options[:3]:
            at.selectbox(key=key).set_value(option)
    assert not at.run().exception
    assert "This did not work" not in [h.value for h in at.header]


def test_an_answer_without_numbers_or_rows_has_no_chart(open_page: Open, sample_store: Path) -> None:
    """A table, also an empty one, and no empty axes."""
    for sql in ("select text from requests", "select * from decisions where false"):
        at = ask(open_page(sample_store, "sql"), sql)
        assert not at.exception
        assert not at.get("plotly_chart")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_an_empty_log_says_what_to_do_and_what_could_be_asked(open_page: Open, tmp_path: Path, lang: str) -> None:
    """The commands that fill it, the demo, and the four relations."""
    create_store(tmp_path / "empty")
    at = open_page(tmp_path / "empty", "sql", lang)
    assert not at.exception
    assert any("routelens infer" in code.value for code in at.code)
    assert len(at.dataframe) == len(RELATIONS) == 4


def test_a_log_that_loses_its_store_is_one_sentence(open_page: Open, sample_store: Path) -> None:
    """The folder goes between the page and the question."""
    at = open_page(sample_store, "sql")
    sample_store.rename(sample_store.with_name("gone"))
    try:
        at = ask(at, "select 1")
    finally:
        sample_store.with_name("gone").rename(sample_store)
    assert not at.exception


def test_questions_wait_for_a_seat(open_page: Open, sample_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others are answered the question waits; too long, and it says so instead of taking more memory."""
    monkeypatch.setattr(sql_form, "_seats", threading.BoundedSemaphore(1))
    monkeypatch.setattr(sql_form, "SECONDS", 0.1)
    at = open_page(sample_store, "sql")
    with sql_form._seat():
        at = ask(at, "select 1")
    assert any("Other questions are being answered" in text.value for text in at.text)


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_the_schema_is_the_one_of_the_console(sample_store: Path, relation: object) -> None:
    """Names, types and order of the columns, as DESCRIBE has them."""
    name, columns = relation.name, relation.columns  # type: ignore[attr-defined]
    found = run_select(sample_store, f"SELECT column_name, column_type FROM (DESCRIBE {name})").rows
    assert found == [[column.name, column.type] for column in columns]


def test_the_titles_are_those_of_the_files() -> None:
    """What the page translates is what the command line lists."""
    assert sql_form.titles(str) == {question.name: question.title for question in stock_questions()}
    assert list(sql_form.titles(str)) == list(NAMES)
