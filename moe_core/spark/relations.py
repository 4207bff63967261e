"""The four public relations in Spark, over the same verified files that DuckDB would read, and their totals."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from moe_core.errors import LogError, QueryError
from moe_core.log.encoding import DECISION_SCHEMA, LOGIT_SCALE, PROB_SCALE
from moe_core.log.entries import ROLES, FileEntry, Role, run_fields
from moe_core.log.relation_columns import COLUMNS
from moe_core.log.request_encoding import REQUEST_SCHEMA, TOKEN_SCHEMA
from moe_core.log.store import Store
from moe_core.log.verified import FindProblems, Problems, Verified
from moe_core.log.views import run_values
from moe_core.spark.session import Spark

_SCHEMAS: dict[Role, str] = {  # as the files hold it (unsigned integers are widened), and the folder's `run`
    "decisions": "request_no BIGINT, position INT, layer INT, expert_id INT, rank INT, selected BOOLEAN, flags INT, "
    "logit INT, prob INT, gate_weight INT, margin INT, run STRING, day STRING",
    "tokens": "request_no BIGINT, position INT, token_id INT, is_special BOOLEAN, run STRING",
    "requests": "request_no BIGINT, request_id STRING, started_at TIMESTAMP_NTZ, latency_ms DOUBLE, n_tokens INT, "
    "domain STRING, attributes MAP<STRING, STRING>, text STRING, text_hash STRING, label STRING, score DOUBLE, "
    "reference_label STRING, active_fraction DOUBLE, flops BIGINT, flops_dense BIGINT, budget DOUBLE, mode STRING, "
    "actor STRING, run STRING",
}
_STORED: dict[Role, list[str]] = {
    "decisions": DECISION_SCHEMA.names,
    "tokens": TOKEN_SCHEMA.names,
    "requests": REQUEST_SCHEMA.names,
}
# Spark reads each %XX of a folder's name as a character of its own, so that a run called 日本 has six.
_RUN_ID = "decode(encode(run, 'ISO-8859-1'), 'UTF-8') AS run_id"
_RUNS = pa.schema(
    [
        (name, {"started_at": pa.timestamp("us"), "n_layers": pa.int32(), "n_experts": pa.int32(),
                "budget": pa.float64()}.get(name, pa.string()))
        for name in COLUMNS["runs"]
    ]
)  # fmt: skip
_TOPS: dict[Role, str] = {"decisions": "segments", "tokens": "requests", "requests": "requests"}
_ESCAPED = re.compile(r"([{}\[\]*?\\,])")  # characters of a path that Hadoop reads as a pattern


def root_of(store: Store, files_at: str | None) -> str:
    """The address below which Spark finds the files: `files_at`, or the store's folder on this machine's disk."""
    root = files_at.rstrip("/") if files_at is not None else f"file://{store.path}"
    if _ESCAPED.search(root):
        raise LogError(f"{root} has a character that Spark reads as a pattern ({{}}[]*?\\,): rename the folder.")
    return root


def problems_seen_by(spark: Spark, root: str) -> FindProblems:
    """A check of the files where Spark reads them: it computes size and sha256 of each, where its tasks run."""

    def find(store: Store, files: list[FileEntry]) -> Problems:
        seen = _sums(spark, root, [file.path for file in files])
        problems = {}
        for file in files:
            size, digest = seen.get(file.path, (None, None))
            if size is None:
                problems[file.path] = f"{file.path} is missing in {root}."
            elif size != file.size:
                problems[file.path] = f"{file.path} has {size} bytes in {root}, its manifest says {file.size}."
            elif digest != file.sha256:
                problems[file.path] = f"{file.path} in {root} is not what was written: its sha256 differs."
        return problems

    return find


def _sums(spark: Spark, root: str, paths: list[str]) -> dict[str, tuple[int, str]]:
    """Path -> size and sha256 as Spark sees them; a file that is missing is not there."""
    if not paths:
        return {}
    reader = spark.session.read.format("binaryFile").option("recursiveFileLookup", "true")
    reader = reader.option("ignoreMissingFiles", "true")
    there = [f"{root}/{top}" for top in sorted({path.partition("/")[0] for path in paths})]
    frame = reader.load(there).selectExpr("path", "length", "sha2(content, 256) AS digest")
    wanted, found = set(paths), {}
    for row in frame.toArrow().to_pylist():
        path = re.sub(r"^.*?((segments|requests)/run=.*)$", r"\1", row["path"])
        if path in wanted:
            found[path] = (row["length"], row["digest"])
    return found


def create_relations(spark: Spark, verified: Verified, root: str, *, with_token_ids: bool = True) -> dict[str, int]:
    """Makes temporary views runs, requests, tokens, decisions and returns how many rows each has, which is what the
    manifests list: anything else raises QueryError. Without token ids, `decisions` lacks that column and its join."""
    frames = {role: _read(spark, verified.files(role), role, root) for role in ROLES}
    runs = pa.Table.from_pylist(
        [dict(zip(_RUNS.names, run_values(run_fields(run)), strict=True)) for run in verified.runs], _RUNS
    )
    _view(spark.frame_of(runs), "runs")
    requests, tokens = frames["requests"], frames["tokens"]
    _view(requests.select(*COLUMNS["requests"]), "requests")
    ids = requests.select("run_id", "request_no", "request_id")
    _view(tokens.join(ids, ["run_id", "request_no"]).select(*COLUMNS["tokens"]), "tokens")
    decisions = frames["decisions"].join(ids, ["run_id", "request_no"])
    columns = list(COLUMNS["decisions"])
    if with_token_ids:
        key = ["run_id", "request_no", "position"]
        decisions = decisions.join(tokens.select(*key, "token_id"), key, "left")
    else:
        columns.remove("token_id")
    scales = dict.fromkeys(("logit", "margin"), LOGIT_SCALE) | dict.fromkeys(("prob", "gate_weight"), PROB_SCALE)
    _view(decisions.selectExpr(*(f"{c} / {scales[c]} AS {c}" if c in scales else c for c in columns)), "decisions")
    return _reconciled(spark, verified)


def _reconciled(spark: Spark, verified: Verified) -> dict[str, int]:
    """Rows of each view, counted by Spark through the same joins that a question goes through."""
    names = ("runs", *ROLES)
    sql = (Path(__file__).parent / "sql" / "count_rows.sql").read_text(encoding="utf-8")
    found: dict[str, int] = spark.session.sql(sql).toArrow().to_pylist()[0]
    listed = {"runs": len(verified.runs)} | {role: verified.rows(role) for role in ROLES}
    differing = [f"{found[name]:,} {name} instead of {listed[name]:,}" for name in names if found[name] != listed[name]]
    if differing:
        raise QueryError(
            f"Spark sees {' and '.join(differing)} that the manifests list, so its answer would be wrong; run "
            "`routelens verify`, and ask again when nothing is being erased."
        )
    return found


def _read(spark: Spark, files: Iterable[FileEntry], role: Role, root: str) -> Any:
    """Exactly these files, never a folder."""
    paths = [f"{root}/{_ESCAPED.sub(lambda m: chr(92) + m[1], file.path)}" for file in files]
    if not paths:
        return spark.session.createDataFrame([], _SCHEMAS[role]).withColumnRenamed("run", "run_id")
    reader = spark.session.read.schema(_SCHEMAS[role]).option("basePath", f"{root}/{_TOPS[role]}")
    return reader.parquet(*paths).selectExpr(*_STORED[role], _RUN_ID)


def _view(frame: Any, name: str) -> None:
    frame.createOrReplaceTempView(name)
