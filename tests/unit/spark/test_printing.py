"""DuckDB's parse tree printed as Spark's SQL: what is printed, and what is refused. No Spark runs here."""

import json
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.errors import QueryError
from moe_core.log import console_child
from moe_core.log.console import describe_select
from moe_core.log.questions import NAMES, stock_question
from moe_core.spark.printing import names_in, spark_sql
from tests.unit.log import attacks


def printed(sql: str) -> str:
    """Only DuckDB's parser stands before the printer here: neither its binder nor the guard helps to refuse."""
    row = duckdb.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert row is not None
    tree = json.loads(row[0])
    assert not tree["error"], tree
    return spark_sql(tree)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("from runs", "SELECT * FROM `runs`"),
        ("select r.* from runs as r", "SELECT `r`.* FROM `runs` AS `r`"),
        ("select layer l, count(*) from decisions where selected group by 1 order by 2 desc limit 3 offset 1",
         "SELECT `layer` AS `l`, count(*) FROM `decisions` WHERE `selected` GROUP BY 1 ORDER BY 2 DESC NULLS LAST "
         "LIMIT 3 OFFSET 1"),
        ("select layer, count(*) filter (not selected) from decisions group by all order by all",
         "SELECT `layer`, count(*) FILTER (WHERE (NOT `selected`)) FROM `decisions` GROUP BY ALL ORDER BY ALL ASC "
         "NULLS LAST"),
        ("select distinct mode from main.requests order by mode nulls first",
         "SELECT DISTINCT `mode` FROM `requests` ORDER BY `mode` ASC NULLS FIRST"),
        ("select 0.1, 1e3, -2, true, null, 'it''s \\', x::int",
         "SELECT (CAST('0.1' AS DOUBLE)), (CAST('1e3' AS DOUBLE)), (-2), TRUE, NULL, 'it\\'s \\\\', CAST(`x` AS INT)"),
        ('select "a`b" as "c d"', "SELECT `a``b` AS `c d`"),
        ("select attributes['it''s'] from requests", "SELECT `attributes`['it\\'s'] FROM `requests`"),
        ("select case x when 1 then 'a' end", "SELECT (CASE WHEN (`x` = 1) THEN 'a' ELSE NULL END)"),
        ("select * from a join b on a.x = b.x left join c on true cross join d",
         "SELECT * FROM `a` JOIN `b` ON (`a`.`x` = `b`.`x`) LEFT JOIN `c` ON TRUE CROSS JOIN `d`"),
        ("select x from a join (b join c using (y)) using (x)",
         "SELECT `x` FROM `a` JOIN (`b` JOIN `c` USING (`y`)) USING (`x`)"),
        ("select a union all select b except select c order by 1",
         "((SELECT `a`) UNION ALL (SELECT `b`)) EXCEPT (SELECT `c`) ORDER BY 1 ASC NULLS LAST"),
        ("with a(x) as (select 1), b as (from a) from b", "WITH `a` (`x`) AS (SELECT 1), `b` AS (SELECT * FROM `a`) "
         "SELECT * FROM `b`"),
        ("select x in (1, 2), x not in (select y from b), exists (from b), (select 1), x between 1 and 2",
         "SELECT (`x` IN (1, 2)), (NOT (`x` IN (SELECT `y` FROM `b`))), (EXISTS (SELECT * FROM `b`)), (SELECT 1), "
         "(`x` BETWEEN 1 AND 2)"),
        ("select sum(x) over (partition by a order by b rows between 2 preceding and current row), "
         "rank() over (order by b)",
         "SELECT sum(`x`) OVER (PARTITION BY `a` ORDER BY `b` ASC NULLS LAST ROWS BETWEEN 2 PRECEDING AND CURRENT ROW),"
         " rank() OVER (ORDER BY `b` ASC NULLS LAST)"),
        ("select extract(hour from t), date_trunc('day', t), x like 'a%', floor(x) || 'b'",
         "SELECT date_part('hour', `t`), CAST(date_trunc('day', `t`) AS TIMESTAMP_NTZ), (`x` LIKE 'a%'), "
         "(CAST(floor(`x`) AS DOUBLE) || 'b')"),
    ],
)  # fmt: skip
def test_a_statement_is_printed_anew(sql: str, expected: str) -> None:
    """Names in backticks, texts escaped, NULLs where DuckDB puts them, every expression in brackets."""
    assert printed(sql) == expected


@pytest.mark.parametrize("name", NAMES)
def test_every_stock_question_can_be_asked(name: str) -> None:
    """All ten are printed."""
    assert spark_sql(describe_select(stock_question(name).sql).tree).startswith("SELECT ")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        # what other engines do and the user did not mean
        ("select round(x)", r"round\(\): write floor"),
        ("select log(x)", r"log\(\)"),
        ("select upper(x)", r"upper\(\)"),
        ("select x // 2", r"//\(\): write floor"),
        ("select any_value(x) from a", r"any_value\(\): write min"),
        ("select x[1]", "subscript"),
        ("select x[y]", "subscript"),
        ("select [1, 2]", r"list_value\(\)"),
        ("select {'a': 1}", "name"),
        ("select unnest(x)", r"unnest\(\)"),
        ("select x::decimal(4, 2)", "cast to DECIMAL"),
        ("select try_cast(x as int)", "try cast"),
        ("select x like y", r"~~\(\)"),
        ("select x like 'a\\%'", r"~~\(\)"),
        ("select extract(second from t)", "date_part with 'second'"),
        ("select extract(dow from t)", "date_part with 'dow'"),
        ("select * from a join b using (x)", "USING"),
        ("select * exclude (x) from a", "exclude list"),
        ("select columns('x') from a", "columns|COLUMNS|regex"),
        ("select distinct on (x) y from a", "distinct on targets"),
        ("select x from a group by grouping sets ((x), ())", "GROUPING SETS"),
        ("select x from a group by cube (x)", "GROUPING SETS"),
        ("select x from a qualify row_number() over (order by x) = 1", "qualify"),
        ("select x from a using sample 10%", "sample"),
        ("select x from a limit 10%", "percentage"),
        ("select x from a limit (select 1)", "whole number"),
        ("select x from a order by 'x'", "whole number"),
        ("from a natural join b", "NATURAL"),
        ("from a asof join b on a.x >= b.x", "ASOF"),
        ("from a positional join b", "POSITIONAL"),
        ("from range(3)", "TABLE FUNCTION"),
        ("values (1)", "EXPRESSION LIST"),
        ("select a union by name select b", "UNION BY NAME"),
        ("with recursive a as (select 1 union select x from a) from a", "RECURSIVE CTE"),
        ("select sum(x order by y) from a", "ORDER BY inside"),
        ("select max(x, 3) from a", r"max\(\)"),
        ("select first_value(x ignore nulls) over (order by y) from a", "IGNORE NULLS"),
        ("select sum(x) over (order by y range between 1 preceding and current row) from a", "window frame"),
        ("select sum(x) over (order by y rows between 1 preceding and current row exclude ties) from a", "EXCLUDE"),
        ("select x > all (select 1)", "with|ALL|ANY"),
        ("select interval 1 day", r"to_days\(\)"),
        ("select x collate nocase", "COLLATE"),
        ("select current_date", "current_date"),
        ("select now()", r"now\(\)"),
        ("select ?", "PARAMETER"),
        ("select x -> x + 1", "LAMBDA|->"),
        ("select 99999999999999999999", "constant '99999999999999999999'"),
        ("select f(a := 1)", r"f\(\)|name"),
        # what Spark would do with it
        ("select reflect('java.lang.System', 'getenv', 'PATH')", r"reflect\(\)"),
        ("select java_method('java.lang.Runtime', 'getRuntime')", r"java_method\(\)"),
        ("select try_reflect('java.lang.System', 'exit', 1)", r"try_reflect\(\)"),
        ("select main.reflect('java.lang.System', 'getenv')", "schema"),
        ("select system.builtin.reflect('java.lang.System', 'getenv')", "schema|catalog"),
        ("select input_file_name() from decisions", r"input_file_name\(\)"),
        ("select raise_error('x')", r"raise_error\(\)"),
        ("select current_user", "current_user"),
        ("select version()", r"version\(\)"),
        ("select uuid()", r"uuid\(\)"),
        ("select read_files('/etc/passwd')", r"read_files\(\)"),
        ("select from_json(x, 'a int')", r"from_json\(\)"),
        ("select aes_decrypt(x, 'k')", r"aes_decrypt\(\)"),
        ("select sum(java_method('a', 'b')) over () from a", r"java_method\(\)"),
        ("select x from a where x in (select reflect('a', 'b'))", r"reflect\(\)"),
        ("select x from a order by reflect('a', 'b')", r"reflect\(\)"),
        ("select x from a group by reflect('a', 'b')", r"reflect\(\)"),
        ("select count(*) filter (reflect('a', 'b') = 'c') from a", r"reflect\(\)"),
        ("select x from a join b on reflect('a', 'b') = 'c'", r"reflect\(\)"),
        ("with a as (select reflect('a', 'b')) from a", r"reflect\(\)"),
    ],
)  # fmt: skip
def test_what_the_engines_do_not_understand_alike_is_refused(sql: str, reason: str) -> None:
    """One sentence names it; the lists say what is allowed, so Spark's own functions need no list of their own."""
    with pytest.raises(QueryError, match=reason) as caught:
        printed(sql)
    assert "\n" not in str(caught.value)
    assert "leave out --engine spark" in str(caught.value)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from parquet.`/etc/passwd`", "select `x` from runs", "select transform(x) using 'cat' from runs",
        "select * from runs tablesample (10 rows)", "select * from csv.`file:///etc/passwd`",
        "select * from runs lateral view explode(x) t as y", "select * from runs distribute by x",
        "select * from runs version as of 1", "select :x", "select r'a' from runs where x rlike 'y'",
        "select * from parquet.\"/etc/passwd\"", "select * from spark_catalog.default.runs",
        "select * from global_temp.runs", "select * from csv.\"/etc/passwd\"", "select _metadata from decisions",
        "select * from decisions where request_no = 1", "show tables", "show functions", "set spark.x = 1", "reset",
        "add jar '/tmp/x.jar'", "create function f as 'x' using jar '/tmp/x.jar'", "cache table runs",
        "describe function extended reflect", "explain extended select 1", "refresh table runs", "list jars",
        "create temporary view x using parquet options (path '/etc')", "insert overwrite directory '/tmp/x' select 1",
        "begin select 1; end", "execute immediate 'select 1'", "from runs |> select run_id",
    ],
)  # fmt: skip
def test_spark_syntax_does_not_pass_duckdb(sql: str) -> None:
    """Files, other catalogs, hidden columns, settings, jars, scripts: refused before Spark is even started."""
    with pytest.raises(QueryError):
        spark_sql(describe_select(sql).tree)


@pytest.mark.parametrize(
    "sql", attacks.FILES + attacks.OWN_FILES + attacks.OTHER_STATEMENTS + attacks.HIDDEN_ACTIONS + attacks.INSIDES
)
def test_an_attack_on_the_console_is_none_on_spark(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    """The same guard, over relations without files, answers each with the same kind of refusal."""
    database = _database()
    monkeypatch.setattr(console_child, "open_database", lambda task: database)
    answer = json.loads(console_child.answer(_task(sql)))
    assert list(answer) == ["error"], answer


_made: list[duckdb.DuckDBPyConnection] = []


def _database() -> duckdb.DuckDBPyConnection:
    """One for all, as in the console's tests: what an attack changed, the next would see."""
    if not _made:
        _made.append(console_child.open_database(_task("")))
    return _made[0]


def _task(sql: str) -> dict[str, Any]:
    files: dict[str, list[str]] = {"decisions": [], "tokens": [], "requests": []}
    return {"runs": [], "files": files, "sql": sql, "max_rows": 1, "max_bytes": 10_000, "timeout_seconds": 5.0,
            "memory_mb": 256, "threads": 1, "with_tree": True}  # fmt: skip


def test_settings_in_braces_stay_text() -> None:
    """Spark would fill in ${env:PATH}; that is switched off, and here it is nothing but a text."""
    assert printed("select '${env:PATH}', '${spark:spark.app.id}'") == "SELECT '${env:PATH}', '${spark:spark.app.id}'"


@given(st.text(max_size=40))
def test_no_text_gets_out_of_its_quotes(text: str) -> None:
    """Read as Spark reads it (a backslash takes the next character along, a quote ends the text), the literal is one
    text, and it is the user's."""
    quoted = text.replace("'", "''").replace("\0", "")
    body = printed(f"select '{quoted}'").removeprefix("SELECT ")
    assert body[0] == body[-1] == "'"
    inner, read = iter(body[1:-1]), ""
    for character in inner:
        assert character != "'"
        read += next(inner) if character == "\\" else character
    assert read == text.replace("\0", "")


@given(st.text(min_size=1, max_size=20))
def test_no_name_gets_out_of_its_backticks(name: str) -> None:
    """A backtick inside is doubled."""
    quoted = name.replace('"', '""').replace("\0", "") or "x"
    body = printed(f'select 1 as "{quoted}"').removeprefix("SELECT 1 AS ")
    assert body[0] == body[-1] == "`"
    assert "`" not in body[1:-1].replace("``", "")


def test_names_are_found_wherever_they_stand() -> None:
    """Whether token ids are asked for decides about a join, so a star counts as every name."""
    found = {}
    for sql in (
        "select layer from decisions",
        "select count(*) from decisions",
        "from decisions",
        "select 1 from decisions d join tokens t using (token_id)",
        "select max(D.Token_ID) from decisions d",
    ):
        row = duckdb.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
        assert row is not None
        found[sql] = bool({"token_id", "*"} & names_in(json.loads(row[0])))
    assert list(found.values()) == [False, False, True, True, True]  # fmt: skip


def test_a_deep_statement_is_one_sentence() -> None:
    """Thousands of brackets end in a refusal, not in a stack."""
    with pytest.raises(QueryError) as caught:
        spark_sql(describe_select(f"select {'(' * 3000}1{')' * 3000}").tree)
    assert "\n" not in str(caught.value)
    tree: dict[str, Any] = {"class": "CONSTANT", "type": "VALUE_CONSTANT", "literal": {"kind": "INTEGER", "text": "1"}}
    for _ in range(20_000):
        tree = {"class": "OPERATOR", "type": "OPERATOR_NOT", "children": [tree]}
    select = {"type": "SELECT_NODE", "select_list": [tree], "from_table": {"type": "EMPTY"}}
    with pytest.raises(QueryError, match="nested too deeply"):
        spark_sql({"statements": [{"node": select}]})
