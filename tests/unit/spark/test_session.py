"""Where Spark cannot start: one sentence that says what is missing. No Spark runs here."""

import subprocess
import sys
from pathlib import Path

import pytest

from moe_core.errors import SparkError
from moe_core.spark.inference import cut
from moe_core.spark.session import check_java, is_local, one_line
from tests.unit.cli.conftest import assert_refused
from tests.unit.log.build import fill_store


def fake_java(folder: Path, says: str) -> Path:
    """A `java` that tells this version."""
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "is 11:"),
        ('java version "1.8.0_292"', "is 8:"),
        ("nothing", "none that tells its version"),
        (None, "there is no java in JAVA_HOME"),
    ],
)
def test_a_java_that_will_not_do_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str | None, reason: str
) -> None:
    """Too old, silent, absent: what is needed, what was found, what to do."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path if says is None else fake_java(tmp_path, says)))
    with pytest.raises(SparkError, match=reason) as caught:
        check_java()
    assert "needs Java 17 or newer" in str(caught.value)
    assert "leave out --engine spark" in str(caught.value)


@pytest.mark.parametrize("says", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "21" 2023-09-19'])
def test_java_17_and_newer_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    """Nothing is raised."""
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, says)))
    check_java()


def run(words: list[str], tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "moe_core", *words, "--store", str(tmp_path / "store")],
        capture_output=True, text=True, check=False, timeout=300,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3]), **environment},
    )  # fmt: skip


@pytest.mark.parametrize("words", [["query", "select 1"], ["infer", "Fine.", "--no-log"]], ids=["query", "infer"])
def test_without_java_or_pyspark_a_verb_says_so_and_ends(tmp_path: Path, words: list[str]) -> None:
    """One line, exit code 2, on both verbs; and everything else works as before."""
    fill_store(tmp_path / "store")
    here = [*words, "--engine", "spark"]
    assert_refused(run(here, tmp_path, JAVA_HOME=str(tmp_path)), "needs Java 17 or newer", "leave out --engine spark")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "pyspark.py").write_text("raise ImportError('No module named pyspark')")
    java = str(fake_java(tmp_path / "java", 'openjdk version "17.0.1"'))
    path = f"{tmp_path / 'hidden'}:{Path(__file__).parents[3]}"
    assert_refused(run(here, tmp_path, JAVA_HOME=java, PYTHONPATH=path), "pip install -r requirements-spark.txt")
    assert run(words, tmp_path, JAVA_HOME=str(tmp_path), PYTHONPATH=path).returncode == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["query", "select 1", "--spark-master", "local[2]"], "--spark-master is for Spark: add --engine spark"),
        (["query", "select 1", "--spark-files", "s3a://x"], "--spark-files is for Spark"),
        (["query", "select 1", "--engine", "abacus"], "use duckdb or spark"),
        (["infer", "Fine.", "--spark-master", "local[2]"], "--spark-master is for Spark"),
        (["infer", "Fine.", "--engine", "duckdb"], "use local or spark"),
        (["infer", "", "--engine", "spark"], "text"),
        (["query", "drop table runs", "--engine", "spark"], "exactly one SELECT; this is: DROP"),
        (["query", "select round(budget) from runs", "--engine", "spark"], "round()"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_spark_starts(tmp_path: Path, words: list[str], reason: str) -> None:
    """No Java is needed to say that; the store is not touched."""
    fill_store(tmp_path / "store")
    assert_refused(run(words, tmp_path, JAVA_HOME=str(tmp_path)), reason)


def test_no_part_of_the_project_loads_pyspark_before_it_is_asked() -> None:
    """Importing the command line, the log, and the Spark part itself works where PySpark is not installed."""
    code = (
        "import sys; import moe_core.cli.main, moe_core.log.console, moe_core.spark.select, moe_core.spark.inference; "
        "print([name for name in sys.modules if name.split('.')[0] in ('pyspark', 'py4j')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_local_masters_are_known() -> None:
    """What stays on this machine gets its addresses and folders from us."""
    assert [is_local(master) for master in ("local", "local[2]", "local[*]", "local[2,3]")] == [True] * 4
    assert [is_local(master) for master in ("local-cluster[2,1,1024]", "yarn", "spark://local:7077")] == [False] * 3


def test_an_error_of_spark_becomes_one_sentence() -> None:
    """Without plans, codes and the stack of the JVM; an error of ours that a worker raised speaks for itself."""
    long = "[UNRESOLVED_COLUMN] A column `x`  cannot be resolved. SQLSTATE: 42703; line 1 pos 7;\n'Project ['x]\n\tat x"
    assert one_line(ValueError(long)) == "[UNRESOLVED_COLUMN] A column `x` cannot be resolved"
    ours = (
        "PythonException: Traceback\n  File x\nmoe_core.errors.InputError: Text 3 is empty: fill it.\n\tat org.apache"
    )
    assert one_line(ValueError(ours)) == "Text 3 is empty: fill it"
    assert one_line(ConnectionRefusedError()) == "its process ended"


@pytest.mark.parametrize(
    ("n", "cores", "sizes"),
    [(1, 2, [1]), (8, 2, [8]), (9, 2, [8, 1]), (64, 2, [8] * 8), (150, 2, [16] * 9 + [6]), (8 * 16 * 9, 2, [128] * 9)],
)
def test_parts_are_whole_blocks_in_order(n: int, cores: int, sizes: list[int]) -> None:
    """With blocks of 8 requests and 2 cores: one block a part, until there are 8 parts; then parts grow."""
    parts = cut(n, 8, cores)
    assert [len(part) for part in parts] == sizes
    assert [number for part in parts for number in part] == list(range(n))
    assert all(part.start % 8 == 0 for part in parts)
    assert max(map(len, cut(10**6, 8, 2))) == 8 * 16
