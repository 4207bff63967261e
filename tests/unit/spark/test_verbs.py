"""`query --engine spark` and `infer --engine spark` as users run them, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moe_core.log.catalog import read_catalog
from moe_core.log.console import run_select
from moe_core.log.store import open_store
from moe_core.log.verify import verify_store
from tests.unit.cli.conftest import assert_refused
from tests.unit.log.build import data_files, fill_store
from tests.unit.spark.needs import spark_tests

pytestmark = spark_tests
ROOT = Path(__file__).parents[3]
N = 4 * 256 + 6  # four whole blocks and a rest
DECISIONS = """
SELECT r.attributes['id'] AS id, r.mode, r.domain, r.text, r.label, r.score, d.position, d.token_id, d.layer,
    d.expert_id, d.rank, d.selected, d.logit, d.prob, d.gate_weight, d.margin, d.flags
FROM requests AS r LEFT JOIN decisions AS d ON d.run_id = r.run_id AND d.request_id = r.request_id
ORDER BY CAST(id AS INTEGER), r.mode, d.position, d.layer, d.rank
"""


class Place:
    """A folder to work in, a folder for temporary files, and the command."""

    def __init__(self, folder: Path) -> None:
        self.cwd, self.tmp, self.store = folder / "cwd", folder / "tmp", folder / "store"
        self.cwd.mkdir()
        self.tmp.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.tmp), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def start(self, *words: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "moe_core", *map(str, words), "--store", str(self.store)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.cwd, env=self.environment,
        )  # fmt: skip

    def run(self, *words: object) -> "subprocess.CompletedProcess[str]":
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=900)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def json(self, *words: object) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """At the end nothing may lie in it but the store: no metastore, no warehouse, no spilled file."""
    made = Place(tmp_path)
    yield made
    assert list(made.cwd.iterdir()) == []
    assert list(made.tmp.iterdir()) == []


def test_a_question_on_spark_looks_like_one_on_duckdb(place: Place) -> None:
    """The same document, byte for byte; stderr says in one line what Spark saw; the store is as before."""
    fill_store(place.store)
    before = {path: path.read_bytes() for path in data_files(place.store)}
    words = ("query", "--example", "load_by_expert", "--json")
    spark, duckdb = place.run(*words, "--engine", "spark", "--spark-master", "local[2]"), place.run(*words)
    assert (spark.returncode, duckdb.returncode) == (0, 0), spark.stderr
    assert spark.stdout == duckdb.stdout
    assert spark.stderr == "spark saw 1 runs, 3 requests, 6 tokens, 24 decisions: as many as the manifests list\n"
    assert {path: path.read_bytes() for path in data_files(place.store)} == before


def test_what_spark_cannot_answer_is_one_line(place: Place) -> None:
    """Exit code 2, no traceback, none of Spark's own output; a store that is not there is not made."""
    assert_refused(place.run("query", "select 1", "--engine", "spark"), "no store")
    assert not place.store.exists()
    fill_store(place.store)
    assert_refused(place.run("query", "select 1 / 0", "--engine", "spark"), "Spark refuses", "DIVIDE_BY_ZERO")
    words = ("query", "select 1", "--engine", "spark", "--spark-master", "spark:nowhere")
    assert_refused(place.run(*words), "Spark does not start on spark:nowhere")
    many = "select count(*) from " + ", ".join(f"decisions d{i}" for i in range(9))
    assert_refused(place.run("query", many, "--engine", "spark", "--timeout", 20), "stopped after 20 seconds")


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short texts of the demo, each with a number of its own."""
    lines = (ROOT / "data" / "demo" / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    path = tmp_path_factory.mktemp("requests") / "r.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for i in range(N):
            row = json.loads(lines[i % len(lines)])
            text = f"{' '.join(row['text'].split()[: 3 + i % 5])} {i}"
            file.write(json.dumps({"id": i, "text": text, "domain": row["domain"]}, ensure_ascii=False) + "\n")
    return path


@pytest.fixture(scope="module")
def alone(requests: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What one process answers and logs."""
    place = Place(tmp_path_factory.mktemp("alone"))
    words = ("infer", "--file", requests, "--domain", "domain", "--escalate-below", 0.1)
    return place.json(*words), place.store


ON_SPARK = ("infer", "--domain", "domain", "--escalate-below", 0.1, "--engine", "spark", "--spark-master")


def test_inference_on_spark_decides_as_one_process_does(place: Place, requests: Path, alone: tuple[Any, Path]) -> None:
    """Five parts in two worker processes, each with one model: answers, and every row of every request, escalated ones
    included, are those of a single process; the store is intact and the totals are those of the run."""
    expected, other = alone
    found = place.json(*ON_SPARK, "local[2]", "--file", requests)
    assert found["spark"] == {"parts": 5, "workers": 2, "models": 2}
    changing = ("request_id", "latency_ms", "escalation_request_id")
    assert len(found["requests"]) == N
    for one, two in zip(found["requests"], expected["requests"], strict=True):
        assert {k: v for k, v in one.items() if k not in changing} == {
            k: v for k, v in two.items() if k not in changing
        }
    assert [r["request_id"] for r in found["requests"]] == [f"{found['run_id']}.{i + 1}" for i in range(N)]
    assert found["totals"]["escalated"] == expected["totals"]["escalated"] > 0
    rows = [run_select(store, DECISIONS, 10**7, max_bytes=10**9).rows for store in (place.store, other)]
    assert (
        len(rows[0]) == found["totals"]["decisions"] + found["totals"]["escalated"]
    )  # a dense request has none: 1 row
    assert rows[0] == rows[1]
    report = verify_store(place.store)
    assert (report.ok, report.decisions, report.notes) == (True, found["totals"]["decisions"], ())
    ends = read_catalog(open_store(place.store)).run_ends
    assert set(ends) == {found["run_id"], found["totals"]["escalation_run_id"]}
    assert ends[found["run_id"]].fields["requests"] == N


def children(pid: int, word: str) -> list[int]:
    """Processes below this one whose command line holds the word."""
    parents, commands = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
            commands[int(path.name)] = (path / "cmdline").read_text()
        except (OSError, IndexError, ValueError):
            continue
    found, below = [], {pid}
    for _ in range(6):
        below |= {child for child, parent in parents.items() if parent in below}
    for child in below - {pid}:
        if word in commands[child]:
            found.append(child)
    return found


def wait_for(condition: Any, process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not condition():
        time.sleep(0.02)
    assert condition(), process.communicate()


def test_a_worker_that_is_killed_is_replaced(place: Place, requests: Path, alone: tuple[Any, Path]) -> None:
    """kill -9 when the first part is on the disk and not yet listed: the part is answered again, and the log is what it
    would have been."""
    process = place.start(*ON_SPARK, "local[2,4]", "--file", requests, "--json")
    wait_for(lambda: any(place.store.rglob("*-w*.requests.parquet")), process)
    for worker in children(process.pid, "pyspark.daemon"):
        os.kill(worker, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=900)
    assert process.returncode == 0, stderr
    assert len(json.loads(stdout)["requests"]) == N
    rows = [run_select(store, DECISIONS, 10**7, max_bytes=10**9).rows for store in (place.store, alone[1])]
    assert rows[0] == rows[1]
    report = verify_store(place.store)
    assert (report.ok, report.notes) == (True, ())


def test_a_driver_that_is_killed_loses_nothing_acknowledged(tmp_path: Path, requests: Path) -> None:
    """kill -9 of the command after its first acknowledgement: what it announced is found, the store is intact, the run
    has no end, and no Spark is left running."""
    place = Place(tmp_path)
    words = ("infer", "--engine", "spark", "--spark-master", "local[2]", "--file", requests)
    with place.start(*words) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        spark = children(process.pid, "org.apache.spark")
        process.kill()
    assert "acknowledged" in line, line
    assert spark
    report = verify_store(place.store)
    assert report.ok
    announced = int(line.split(": ")[1].split(" ")[0])
    assert announced == 1024
    assert run_select(place.store, "select count(*) from requests").rows[0][0] >= announced
    assert read_catalog(open_store(place.store)).run_ends == {}
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in spark) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}/cmdline").exists() for pid in spark)


def test_a_text_that_cannot_be_answered_is_refused_before_spark_starts(place: Place, requests: Path) -> None:
    """One line that names it; no run is begun."""
    path = place.store.with_name("long.txt")
    path.write_text("fine\n" + "word " * 2000 + "\n")
    assert_refused(place.run("infer", "--file", path, "--engine", "spark"), "2")
    assert not place.store.exists()


def test_without_a_log_nothing_is_written(place: Place) -> None:
    """Answers come, the store does not."""
    words = ("infer", "The parcel never arrived.", "A wonderful day, thank you!", "--no-log", "--engine")
    found = place.json(*words, "spark", "--spark-master", "local[1]")
    assert [request["label"] for request in found["requests"]] == ["negative", "positive"]
    assert found["totals"]["logged"] is False
    assert not place.store.exists()
