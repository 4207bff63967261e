"""The same questions to DuckDB and to a real Spark: the same rows, the same refusals, the same files."""

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moe_core.errors import LogError, QueryError
from moe_core.log.console import SelectResult, run_select
from moe_core.log.questions import NAMES, stock_question
from moe_core.log.store import open_store
from moe_core.log.verified import verified_batches
from moe_core.spark.relations import create_relations, root_of
from moe_core.spark.select import compute, in_time, prepare, show_store
from moe_core.spark.session import Spark
from tests.unit.log.build import data_files, fill_store
from tests.unit.log.test_questions import counted_store as _counted_store
from tests.unit.spark.needs import spark_tests

pytestmark = spark_tests
counted_store = _counted_store
ALL_COLUMNS = "SELECT * FROM {} ORDER BY {}"


_shown: dict[str, Any] = {}


def ask(spark: Spark, store: Path, sql: str, files_at: str | None = None, **limits: int) -> SelectResult:
    """As `run_select_on_spark`, on a Spark that runs; the relations of a store are made once, while nothing changed."""
    description, statement = prepare(sql)

    def answer() -> SelectResult:
        state = (store, files_at, [path.stat().st_mtime_ns for path in data_files(store)])
        if _shown.get("state") != state:
            _shown["left_out"], _ = show_store(spark, store, files_at)
            _shown["state"] = state
        return compute(spark, description, statement, _shown["left_out"], **limits)

    return in_time(spark, answer, 3000)


def assert_same(found: Any, expected: Any) -> None:
    """Row by row: same types, integers and texts exactly, real numbers to 1e-9."""
    assert type(found) is type(expected), (found, expected)
    if isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=1e-9), (found, expected)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_stock_question_has_the_same_rows_on_both_engines(
    spark: Spark, varied: Path, counted_store: Path, name: str
) -> None:
    """All ten, on a store of many runs and on the one that was counted by hand."""
    for store in (varied, counted_store):
        sql = stock_question(name).sql
        found, expected = ask(spark, store, sql), run_select(store, sql)
        assert found._replace(rows=[]) == expected._replace(rows=[])
        assert expected.rows or (store, name) == (varied, "expert_pairs")
        assert_same(found.rows, expected.rows)


@pytest.mark.parametrize(
    "sql",
    [
        ALL_COLUMNS.format("runs", "run_id"),
        ALL_COLUMNS.format("requests", "request_id"),
        ALL_COLUMNS.format("tokens", "request_id, position"),
        ALL_COLUMNS.format("decisions", "request_id, position, layer, rank"),
        "from decisions order by all limit 7 offset 3",
        "select domain, label, count(*) from requests group by all order by domain desc, label",
        "select domain, count(*) from requests group by 1 having count(*) > 1 order by 2 desc, 1 nulls first",
        "select domain from requests order by domain desc, request_id limit 13",
        "select distinct mode, domain from requests order by 2, 1",
        "select count(*), count(domain), count(distinct domain), min(domain), max(label) from requests",
        "select count(*) filter (where selected), sum(rank) filter (not selected), bool_and(selected) from decisions",
        "select sum(flops), avg(flops), min(flops) * 2, max(started_at), stddev(score), var_pop(score) from requests",
        "select median(score), stddev_samp(rank), bool_or(selected) from requests join decisions using (request_id)",
        "select attributes['sex'], attributes['it''s'], attributes['none'], attributes from requests "
        "order by request_id",
        "select request_id, started_at, cast(started_at as date), cast(started_at as varchar), "
        "date_trunc('hour', started_at), extract(hour from started_at), extract(week from started_at) from requests "
        "order by request_id",
        "select request_id from requests where started_at > '2026-03-01 20:00:00' and started_at::date = '2026-03-02' "
        "order by 1",
        "select 1 / 3, 7 % 3, -7 % 3, 2 * 0.1, 1e3, -5, 'it''s \\ \"x\" `y` ${env:PATH} {}', null, true, 1 = 1.0",
        "select floor(-1.5), ceil(1.2), abs(-2.5), power(2, 0.5), nullif(1, 1), greatest(1, null, 3), least(2, 1), "
        "if(true, 1, 2), length('日本語'), starts_with('abc', 'ab'), contains('abc', 'd'), coalesce(null, 'x')",
        "select case when rank = 0 then 'first' when rank = 1 then 'second' end as place, count(*) from decisions "
        "group by place order by place",
        "select text, text || '!', length(text), text like '%TABLE%', text not like 'a_b' from requests order by "
        "request_id limit 2",
        "with r as (select request_id, domain from requests), d as (select request_id, count(*) n from decisions group "
        "by 1) select domain, sum(n)::bigint from r join d using (request_id) group by domain order by domain",
        "select (select max(layer) from decisions), exists (select 1 from runs where mode = 'dense'), 1 in (1, 2), "
        "'x' not in ('y'), 2 between 1 and 3, null is distinct from 1",
        "select request_id from requests r where exists (select 1 from tokens t where t.request_id = r.request_id and "
        "position = 4) order by request_id",
        "select run_id from runs where run_id in (select run_id from requests where domain is null) order by run_id",
        "select domain from requests union select mode from runs order by 1",
        "select domain from requests except select 'mail' order by 1",
        "select layer from decisions intersect all select 0 union all select 5 order by 1",
        "select request_id, position, row_number() over (partition by request_id order by position desc), "
        "sum(token_id) over (partition by request_id order by position rows between 1 preceding and current row), "
        "lag(token_id, 1, -1) over (partition by request_id order by position), count(*) over () from tokens "
        "order by 1, 2",
        "select r.request_id, r.domain, q.domain from requests r left join requests q on q.domain = r.domain and "
        "q.request_id > r.request_id order by all",
        "select a.x, b.x from (select 1 x union all select 2) a full join (select 2 x union all select 3) b "
        "on a.x = b.x order by 1, 2",
        "select count(*) from runs a cross join runs b, runs c where a.run_id <> b.run_id",
        "select r.run_id from runs r semi join requests q on q.run_id = r.run_id and q.domain = 'news' order by 1",
        "select r.run_id from runs r anti join requests q on q.run_id = r.run_id and q.domain = 'none' order by 1",
        "select t.a + 1 as \"odd `name`\", t.b from (select 1, 'x') as t(a, b)",
        "select request_id, margin, prob, gate_weight, logit from decisions where margin > 0.1 and prob < 0.9 "
        "order by 1, 2, 3, 4, 5 limit 5",
        "select 9223372036854775807, 2147483648, -9223372036854775807",
    ],
)  # fmt: skip
def test_a_question_has_the_same_rows_on_both_engines(spark: Spark, varied: Path, sql: str) -> None:
    """What the lists of `same_meaning` allow means the same: NULLs, order, division, texts, times, joins, windows."""
    found, expected = ask(spark, varied, sql), run_select(varied, sql)
    assert (found.columns, found.types) == (expected.columns, expected.types)
    assert expected.rows
    assert_same(found.rows, expected.rows)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select cast(score * 10 as int) from requests", "rounds a fraction"),
        ("select (select cast(max(margin) as bigint) from decisions)", "rounds a fraction"),
        ("select request_id from requests where cast(score as int) = 1", "rounds a fraction"),
        ("select cast(score as varchar) from requests", "fractions as text"),
        ("select 'a' || score from requests", "fractions as text"),
        ("select 'a' || floor(score) from requests", "fractions as text"),
        ("select 1 / 0", "DIVIDE_BY_ZERO"),
        ("select flops * 1000000 from requests", "ARITHMETIC_OVERFLOW"),
        ("select date '2026-01-02' - date '2026-01-01'", "is BIGINT in DuckDB"),
        ("select row_number() over () from runs", "Spark refuses the query"),
        ("select attributes from requests order by attributes", "Spark refuses the query"),
        ("select x from runs", "Binder Error"),
        ("drop table runs", "exactly one SELECT; this is: DROP"),
        ("select * from read_text('/etc/passwd')", "does not allow read_text"),
    ],
)
def test_what_would_differ_is_refused_with_one_sentence(spark: Spark, varied: Path, sql: str, reason: str) -> None:
    """Never another number than DuckDB's: rather none, without a stack and without a path."""
    with pytest.raises(QueryError, match=reason) as caught:
        ask(spark, varied, sql)
    message = str(caught.value)
    assert "\n" not in message
    assert "org.apache" not in message
    assert str(varied) not in message
    assert len(message) < 700


def test_spark_itself_is_locked(spark: Spark, varied: Path) -> None:
    """If a statement ever passed the printer: no files by path, nothing filled in, no metastore, no hidden column."""
    ask(spark, varied, "select 1 from decisions limit 1")
    session = spark.session
    for sql in (
        f"SELECT * FROM parquet.`{varied}`",
        "SELECT * FROM csv.`/etc/passwd`",
        "SELECT request_no FROM requests",
        "SELECT _metadata FROM decisions",
        "SELECT `run`, `day` FROM decisions",
    ):
        with pytest.raises(Exception, match=r"TABLE_OR_VIEW_NOT_FOUND|UNRESOLVED_COLUMN|UNSUPPORTED"):
            session.sql(sql).toArrow()
    assert session.sql("SELECT '${env:PATH}' AS x").toArrow().to_pylist() == [{"x": "${env:PATH}"}]
    assert session.conf.get("spark.sql.catalogImplementation") == "in-memory"
    assert session.conf.get("spark.driver.bindAddress") == "127.0.0.1"
    assert session.sparkContext.uiWebUrl is None  # fmt: skip


def test_a_long_answer_is_cut_and_says_so(spark: Spark, varied: Path) -> None:
    """By rows and by bytes, as on DuckDB."""
    sql = "select request_id from requests order by 1"
    for limits in ({"max_rows": 5}, {"max_rows": 36}, {"max_rows": 35}, {"max_bytes": 100}):
        assert ask(spark, varied, sql, **limits) == run_select(varied, sql, **limits)


def test_a_damaged_file_is_left_out_and_named_as_on_duckdb(spark: Spark, tmp_path: Path) -> None:
    """16 of 24 decisions are counted on both engines, and an orphan beside the segments is not seen."""
    fill_store(tmp_path)
    first, second, _ = sorted((tmp_path / "segments").rglob("*.parquet"))
    second.with_name("orphan.parquet").write_bytes(second.read_bytes())
    data = bytearray(first.read_bytes())
    data[-50] ^= 8
    first.write_bytes(data)
    sql = "select count(*), count(distinct request_id) from decisions"
    found = ask(spark, tmp_path, sql)
    assert found == run_select(tmp_path, sql)
    assert found.rows == [[16, 2]]
    assert first.name in found.left_out[0]


def test_decisions_without_token_ids_have_no_such_column(spark: Spark, varied: Path) -> None:
    """Where no token id is asked for, the join with the tokens is left out; and if one were used all the same, that
    would be an error and not a NULL."""
    _shown.clear()
    _, totals = show_store(spark, varied, with_token_ids=False)
    assert totals == {"runs": 6, "requests": 36, "tokens": 120, "decisions": 480}
    assert "token_id" not in spark.session.table("decisions").columns


def test_an_empty_store_answers(spark: Spark, tmp_path: Path) -> None:
    """No file yet, but all relations."""
    fill_store(tmp_path, n_batches=0)
    sql = "select (select count(*) from requests), (select count(*) from tokens), count(*) from decisions"
    assert ask(spark, tmp_path, sql).rows == [[0, 0, 0]]


def test_totals_that_are_not_those_of_the_manifests_are_refused(spark: Spark, tmp_path: Path) -> None:
    """A batch whose requests file is not that of its decisions would lose rows in the join: no answer then."""
    fill_store(tmp_path)
    store = open_store(tmp_path)
    verified = verified_batches(store)
    root = root_of(store, None)
    _shown.clear()
    assert create_relations(spark, verified, root) == {"runs": 1, "requests": 3, "tokens": 6, "decisions": 24}
    one, two, three = verified.batches
    wrong = replace(two, files={**two.files, "requests": one.files["requests"]})
    with pytest.raises(QueryError, match=r"Spark sees .* tokens instead of 6.* that the manifests list"):
        create_relations(spark, replace(verified, batches=[one, wrong, three]), root)
    missing = replace(two.files["decisions"], rows=9)
    wrong = replace(two, files={**two.files, "decisions": missing})
    with pytest.raises(QueryError, match="24 decisions instead of 25 that the manifests list"):
        create_relations(spark, replace(verified, batches=[one, wrong, three]), root)


def test_a_copy_is_checked_where_spark_reads_it(spark: Spark, tmp_path: Path) -> None:
    """With another address for the files, Spark itself computes the sha256 of each: a copy that lost a file, a byte or
    a bit is left out batch by batch, while the store at home is whole."""
    home, copy = tmp_path / "home", tmp_path / "a copy"
    fill_store(home, n_batches=5)
    for top in ("segments", "requests"):
        shutil.copytree(home / top, copy / top)
    at = f"file://{copy}/"
    sql = "select count(*), count(token_id) from decisions"
    assert ask(spark, home, sql, files_at=at).rows == [[40, 40]]
    files = sorted((copy / "segments").rglob("*.parquet"))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:-1])
    data = bytearray(files[2].read_bytes())
    data[70] ^= 1
    files[2].write_bytes(data)
    _shown.clear()
    found = ask(spark, home, sql, files_at=at)
    assert found.rows == [[16, 16]]
    assert [sentence.split("parquet ")[1].split(" ")[0] for sentence in found.left_out] == ["is", "has", "in"]
    assert ask(spark, home, sql).rows == [[40, 40]]


def test_a_folder_that_spark_reads_as_a_pattern_is_refused(tmp_path: Path) -> None:
    """It would find nothing, or something else."""
    fill_store(tmp_path / "a{b,c}")
    with pytest.raises(LogError, match="rename the folder"):
        root_of(open_store(tmp_path / "a{b,c}"), None)
