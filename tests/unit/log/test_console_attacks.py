"""The SQL console under attack: a statement is refused with one sentence, or stopped in time, or harmless.

Most attacks are run through the child's own `answer` in this process, so that what refuses them is the guard and the
lock alone; the bombs run in the real child with its limits. After each of them the store is byte for byte the same,
and no file was made anywhere it could be.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from moe_core.errors import QueryError
from moe_core.log import console, console_child
from moe_core.log.console import run_select
from moe_core.log.statement_guard import REFUSED_FUNCTIONS, refusal
from moe_core.log.store import open_store
from tests.unit.log.attacks import (
    BOMBS,
    FILES,
    HIDDEN_ACTIONS,
    INSIDES,
    NO_ATTACKS,
    OTHER_STATEMENTS,
    OWN_FILES,
    STRANGE,
)
from tests.unit.log.build import fill_store

ROOT = Path(__file__).resolve().parents[3]
SECRET = "never-to-be-seen"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, files that nobody may read, links to them and to files of the store."""
    folder = tmp_path_factory.mktemp("attacked")
    fill_store(folder / "store")
    (folder / "secret.csv").write_text(f"a\n{SECRET}\n")
    (folder / "secret.json").write_text(json.dumps([{"a": SECRET}]))
    duckdb.sql(f"COPY (SELECT '{SECRET}' AS a) TO '{folder}/secret.parquet'")
    with duckdb.connect(str(folder / "secret.duckdb")) as database:
        database.execute(f"CREATE TABLE t AS SELECT '{SECRET}' AS a")
    (folder / "link.csv").symlink_to(folder / "secret.csv")
    (folder / "link.parquet").symlink_to(next((folder / "store" / "requests").rglob("*.requests.parquet")))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder; one for all, since making and removing four hundred takes longer than the attacks."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def untouched(place: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs each test in an empty folder that is also the home; afterwards nothing is changed and nothing is new."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    before = contents(place)
    yield
    assert contents(place) == before
    assert list(home.iterdir()) == []


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spelled(sql: str, place: Path) -> str:
    """The attack with real paths in it."""
    store = place / "store"
    for word, path in {
        "{dir}": place,
        "{store}": store,
        "{seg}": min((store / "segments").rglob("*.parquet")),
        "{req}": min((store / "requests").rglob("*.requests.parquet")),
        "{tok}": min((store / "requests").rglob("*.tokens.parquet")),
    }.items():
        sql = sql.replace(word, str(path))
    return sql


@cache
def files_of(place: Path) -> dict[str, Any]:
    return console._verified_files(open_store(place / "store"))[0]


def task_of(place: Path, **changes: Any) -> dict[str, Any]:
    """What the parent would ask its child."""
    limits = {"max_rows": 100, "max_bytes": 100_000, "timeout_seconds": 5.0, "memory_mb": 256, "threads": 1}
    return {**files_of(place), **limits, **changes}


@pytest.fixture(scope="module")
def database(place: Path) -> duckdb.DuckDBPyConnection:
    """The child's database. One for all attacks: what one of them changed, the others would see."""
    return console_child.open_database(task_of(place))


def ask(place: Path, sql: str, **changes: Any) -> dict[str, Any]:
    """The child's answer, in this process and without its limits."""
    answer: dict[str, Any] = json.loads(console_child.answer(task_of(place, sql=sql, **changes)))
    return answer


def is_one_sentence(text: str) -> bool:
    return bool(text) and "\n" not in text and "Traceback" not in text and len(text) < 800


@pytest.mark.parametrize("sql", FILES + OWN_FILES + OTHER_STATEMENTS + HIDDEN_ACTIONS + INSIDES)
def test_an_attack_is_refused_with_one_sentence(
    place: Path, database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """No row comes back, the reason fits on a line, and it shows neither the secret nor a path that was not typed."""
    monkeypatch.setattr(console_child, "open_database", lambda task: database)
    answer = ask(place, spelled(sql, place))
    assert list(answer) == ["error"], answer
    assert is_one_sentence(answer["error"])
    assert SECRET not in answer["error"]
    if str(place) not in spelled(sql, place):
        assert str(place) not in answer["error"]


@pytest.mark.parametrize("sql", NO_ATTACKS)
def test_what_people_write_is_answered(
    place: Path, database: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, sql: str
) -> None:
    """The guard lists what is allowed, so the ordinary must be on its lists."""
    monkeypatch.setattr(console_child, "open_database", lambda task: database)
    answer = ask(place, sql)
    assert "rows" in answer, answer


@pytest.mark.parametrize("sql", FILES)
def test_the_lock_alone_keeps_foreign_files_closed(place: Path, database: duckdb.DuckDBPyConnection, sql: str) -> None:
    """If a statement ever passed the guard, DuckDB's own settings would still refuse to open the file."""
    try:
        rows = database.execute(spelled(sql, place)).fetchall()
    except duckdb.Error:
        return
    assert SECRET not in str(rows)
    assert "root:" not in str(rows)
    assert "link.parquet" in sql or rows == [] or rows[0][0] == 1  # a link to a listed file shows what is listed


@pytest.mark.parametrize(
    "sql",
    [
        "SET memory_limit = '9GB'",
        "RESET max_execution_time",
        "SET lock_configuration = false",
        "SET GLOBAL enable_external_access = true",
        "SET temp_directory = '/tmp'",
        "PRAGMA enable_logging",
        "CALL enable_logging()",
        "SET allowed_directories = ['/']",
        "COPY runs TO '{dir}/x.csv'",
        "COPY runs TO '.tmp/x.csv'",
        "COPY runs TO '{seg}'",
        "ATTACH '{dir}/x.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPORT DATABASE '{dir}/x'",
        "CREATE PERSISTENT SECRET s (TYPE s3)",
    ],
)
def test_the_lock_alone_keeps_settings_and_folders_as_they_are(
    place: Path, database: duckdb.DuckDBPyConnection, sql: str
) -> None:
    """Neither limits nor files can be changed, even by statements that never get this far."""
    with pytest.raises((duckdb.Error, RuntimeError)):
        database.execute(spelled(sql, place))


def test_no_folder_is_allowed_and_nothing_spills(database: duckdb.DuckDBPyConnection) -> None:
    """DuckDB allows its temporary folder by itself; so there is none."""
    settings = dict(
        database.execute(
            "SELECT name, value FROM duckdb_settings() WHERE name IN ('allowed_directories', 'temp_directory', "
            "'enable_external_access', 'lock_configuration')"
        ).fetchall()
    )
    assert settings == {
        "allowed_directories": "[]",
        "temp_directory": "",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }


def test_a_function_of_a_new_duckdb_is_looked_at() -> None:
    """Each one with side effects, or with a name that sounds like trouble, is refused or known to be harmless."""
    harmless = {
        *("uuid", "uuidv4", "uuidv7", "gen_random_uuid", "random", "setseed", "error"),
        *("current_query", "current_query_id", "current_connection_id", "current_transaction_id"),
        *("hive_partition_component", "parse_duckdb_log_message", "parse_filename", "log", "log10", "log2"),
        *(
            "json_serialize_sql",
            "json_deserialize_sql",
            "json_copy_strftime_if_date",
            "json_copy_strftime_if_timestamp",
        ),
        *("pg_conf_load_time", "pg_ts_config_is_visible"),
    }
    functions = duckdb.sql(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro') AND "
        "(has_side_effects OR regexp_matches(function_name, "
        "'setting|getvar|env|^log|_log|secret|viewdef|constraintdef|serialize_|sleep|file|glob|read_|write|copy|exec|conf'))"
    ).fetchall()
    unknown = {name for (name,) in functions} - harmless - REFUSED_FUNCTIONS
    assert {name for name in unknown if not name.startswith("__internal")} == set()


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        ({"error": True, "error_message": "no"}, "refuses the query: no"),
        (
            {"node": {"type": "SELECT_NODE", "from_table": {"type": "NEW_KIND_OF_SOURCE"}}},
            "contains NEW KIND OF SOURCE",
        ),
        ({"node": {"type": "MERGE_QUERY_NODE"}}, "contains MERGE"),
        ({"node": {"type": "SELECT_NODE", "x": [{"a": {"type": "DELETE_QUERY_NODE"}}]}}, "contains DELETE"),
    ],
)
def test_what_the_guard_does_not_know_is_refused(tree: dict[str, Any], reason: str) -> None:
    """Its lists say what is allowed: syntax that a later DuckDB brings is refused until somebody adds it."""
    assert reason in str(refusal(tree, ()))


# --- the real child: its limits, its end, its answer ---


@pytest.mark.parametrize(("sql", "reason"), STRANGE.values(), ids=STRANGE.keys())
def test_strange_statements_get_one_sentence(place: Path, sql: str, reason: str) -> None:
    """Half characters, NULs, ten megabytes, thousands of brackets, thousands of columns."""
    with pytest.raises(QueryError, match=reason) as caught:
        run_select(place / "store", sql, timeout_seconds=5, memory_mb=256)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    "sql",
    [
        "FROM '{seg}'",
        "FROM read_text('{dir}/secret.csv')",
        "SELECT current_setting('allowed_paths')",
        "WITH x AS (DELETE FROM runs RETURNING *) FROM x",
        "COPY runs TO '{dir}/x.csv'",
    ],
)
def test_the_real_child_refuses_too(place: Path, sql: str) -> None:
    """The same guard stands before the statement in the process that users reach."""
    with pytest.raises(QueryError):
        run_select(place / "store", spelled(sql, place))


DRILL = """
import json, resource, sys, time
from concurrent.futures import ThreadPoolExecutor
from moe_core.errors import QueryError
from moe_core.log import console
console.KILL_AFTER = 0.3
store, bombs = json.load(sys.stdin)
def drop(sql):
    try:
        return str(console.run_select(store, sql, timeout_seconds=0.3, memory_mb=128, threads=1).rows)[:80]
    except QueryError as error:
        return str(error)
with ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(drop, bombs))
print(json.dumps([answers, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""


def test_a_bomb_ends_in_time_and_in_bounds(place: Path) -> None:
    """Each is stopped by DuckDB's limits, the memory cap or the parent's kill; no child ever held more than its cap
    (128 MB for data, 1024 MB for everything)."""
    done = subprocess.run(
        [sys.executable, "-c", DRILL],
        input=json.dumps([str(place / "store"), BOMBS]),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=200,
    )
    answers, peak_kb = json.loads(done.stdout)
    survivors = {
        sql[:80]: answer
        for sql, answer in zip(BOMBS, answers, strict=True)
        if "was stopped after" not in answer and "more than 128 MB" not in answer
    }
    assert survivors == {}
    assert all(is_one_sentence(answer) for answer in answers)
    assert peak_kb < (128 + console_child.ADDRESS_SPACE_MB) * 1024


def test_a_killed_child_is_gone(place: Path) -> None:
    """After the time limit no process is left that goes on computing."""
    with pytest.raises(QueryError, match=r"stopped after 0\.2 seconds"):
        run_select(place / "store", "SELECT levenshtein(repeat('a', 300000), repeat('b', 300000))", timeout_seconds=0.2)
    assert children() == []


def children() -> list[str]:
    """Command lines of the console processes that this process has."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == os.getpid():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except (OSError, IndexError, ValueError):
            continue
    return [line for line in found if "console_child" in line]


def in_a_process(code: str, task: object = None) -> "subprocess.CompletedProcess[str]":
    """Python code in a process of its own, with the task on its stdin."""
    return subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_an_orphan_ends_by_itself(place: Path) -> None:
    """The parent is killed while its question runs: the child's own limit of CPU time ends it."""
    task = task_of(place, sql="SELECT levenshtein(repeat('a', 3000000), repeat('b', 3000000))", timeout_seconds=0.1)
    code = "from moe_core.log import console_child; console_child.CPU_SECONDS = 0; console_child.main()"
    done = in_a_process(code, task)
    assert (done.returncode, done.stdout) == (-signal.SIGXCPU, "")


def test_a_child_that_could_write_cannot(home: Path) -> None:
    """Its limits allow no byte in any file: not through DuckDB, not around it."""
    code = f"""
import duckdb, signal
from moe_core.log.console_child import _limit_process
_limit_process({{"memory_mb": 256, "timeout_seconds": 5, "threads": 1}})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
around = lambda: open("{home}/y", "wb", 0).write(b"x")
for write in (lambda: duckdb.sql("COPY (SELECT 1) TO '{home}/x.csv'"), around):
    try:
        write()
        print("written")
    except Exception as error:
        print("refused")
"""
    done = in_a_process(code)
    assert done.stdout.split() == ["refused", "refused"], done
    for path in home.iterdir():
        assert path.stat().st_size == 0
        path.unlink()


def test_a_flood_of_text_is_cut_and_says_so(place: Path) -> None:
    """10,000 rows of 100 kB are a gigabyte: 3 MB come back, whole rows, and the reason for the cut."""
    sql = "SELECT i, repeat('x', 100000) AS x FROM range(10000) AS t(i)"
    found = run_select(place / "store", sql, max_bytes=3_000_000)
    assert (len(found.rows), found.cut_by, found.truncated) == (29, "bytes", True)
    assert {len(row[1]) for row in found.rows} == {100_000}
    found = run_select(place / "store", "SELECT repeat('x', 2000000)", max_bytes=1_000_000)
    assert (found.rows, found.cut_by) == ([], "bytes")


def test_bytes_are_counted_not_characters(place: Path) -> None:
    """100 characters of three bytes each."""
    assert ask(place, "SELECT repeat('\u3042', 100) AS x", max_bytes=299)["cut_by"] == "bytes"
    assert ask(place, "SELECT repeat('\u3042', 100) AS x", max_bytes=400)["cut_by"] is None


def test_a_flood_past_the_childs_own_count_is_cut_off(place: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that sends without end, as a broken one might, is killed when the parent has heard enough."""
    program = home / "python"
    program.write_text("#!/bin/sh\nexec yes")
    program.chmod(0o755)
    monkeypatch.setattr(console.sys, "executable", str(program))  # type: ignore[attr-defined]
    try:
        with pytest.raises(QueryError, match="more than 4,000,100 bytes"):
            run_select(place / "store", "SELECT 1", max_bytes=100)
    finally:
        program.unlink()


@pytest.mark.parametrize(
    ("code", "reason"), [(-11, "broke off"), (-24, "stopped after 1 seconds"), (-9, "more than 64 MB"), (1, "64 MB")]
)
def test_the_end_of_the_child_says_what_happened(code: int, reason: str) -> None:
    """A crash, the CPU limit and the memory limit are different sentences."""
    with pytest.raises(QueryError, match=reason):
        console._parsed(b"", code, 1.0, 64)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_time_limit_that_cannot_be_kept_is_refused(place: Path, seconds: float) -> None:
    """Before anything is started."""
    with pytest.raises(QueryError, match="time limit"):
        run_select(place / "store", "SELECT 1", timeout_seconds=seconds)


def test_modules_of_the_current_folder_are_not_imported(place: Path, home: Path) -> None:
    """A duckdb.py that somebody left where the question is asked does not run."""
    trap = home / "duckdb.py"
    trap.write_text("raise SystemExit('trapped')")
    try:
        assert run_select(place / "store", "SELECT 1").rows == [[1]]
    finally:
        trap.unlink()


def test_many_questions_at_once_do_not_mix(place: Path) -> None:
    """Four threads, four children, each its own answer."""
    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda i: run_select(place / "store", f"SELECT {i}, count(*) FROM decisions").rows, range(4))
        )
    assert found == [[[i, 24]] for i in range(4)]


@pytest.mark.slow
@pytest.mark.parametrize("sql", BOMBS)
def test_a_bomb_with_the_limits_of_every_day(place: Path, sql: str) -> None:
    """The same bombs with 10 seconds, 512 MB and two threads end in one sentence. The longest statement is only slow:
    a quick machine answers it in time."""
    said = ""
    try:
        run_select(place / "store", sql, timeout_seconds=10, memory_mb=512)
    except QueryError as error:
        said = str(error)
    if said or not sql.startswith("SELECT 1 UNION ALL SELECT 1"):
        assert "stopped" in said or "more than 512 MB" in said
        assert is_one_sentence(said)
