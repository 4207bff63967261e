"""One Spark, started for one command and gone after it: its settings, its temporary folder, its end.

On a `local` master everything stays on this machine: addresses are 127.0.0.1, there is no web interface, and whatever
Spark writes (spilled rows, its log, a warehouse) lies in one temporary folder that is removed at the end. On another
master, what concerns addresses, memory and storage is left to that cluster and `$SPARK_CONF_DIR/spark-defaults.conf`.
"""

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from moe_core.errors import SparkError

MIN_JAVA = 17
DRIVER_MEMORY = "2g"
STOP_SECONDS = 20.0
DEFAULT_MASTER = "local[*]"
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(eq=False, slots=True)
class Spark:
    """A running Spark. `session` is pyspark's SparkSession; `cores`: tasks that run at a time."""

    session: Any
    master: str
    cores: int
    _process: "subprocess.Popen[bytes]"
    log: Path = field(repr=False)

    def frame_of(self, table: pa.Table) -> Any:
        """pyspark's DataFrame of these rows."""
        with quiet():
            return self.session.createDataFrame(table)

    def cancel(self) -> None:
        """Asks it to give up what it computes."""
        with suppress(Exception):  # it may be gone
            self.session.sparkContext.cancelAllJobs()

    def kill(self) -> None:
        """Ends its process, whatever it does."""
        self._process.kill()


@contextmanager
def quiet() -> Iterator[None]:
    """Without PySpark's warning of pandas 3: nothing here goes through pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        yield


def is_local(master: str) -> bool:
    return re.fullmatch(r"local(\[.*\])?", master) is not None


@contextmanager
def start_spark(master: str | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Spark]:
    """`settings`: more of Spark's own. Raises SparkError where PySpark or Java is missing or Spark does not start."""
    master = master or DEFAULT_MASTER
    check_java()
    with tempfile.TemporaryDirectory(prefix="routelens-spark-", ignore_cleanup_errors=True) as folder:
        spark = _start(master, {**_settings(master, Path(folder)), **(settings or {})}, Path(folder) / "spark.log")
        try:
            yield spark
        finally:
            _stop(spark)


def check_java() -> None:
    """Raises SparkError unless Java 17 or newer is there."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java") if not home else shutil.which("java", path=str(Path(home) / "bin"))
    what = f"--engine spark needs Java {MIN_JAVA} or newer"
    todo = "install one (Debian: apt install openjdk-17-jre-headless), set JAVA_HOME, or leave out --engine spark"
    if java is None:
        raise SparkError(f"{what}, and there is no java in {f'JAVA_HOME {home}' if home else 'PATH'}: {todo}.")
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SparkError(f"{what}, and {java} does not run ({error}): {todo}.") from None
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None or int(found[1]) < MIN_JAVA:
        raise SparkError(f"{what}, and {java} is {found[1] if found else 'none that tells its version'}: {todo}.")


def _settings(master: str, folder: Path) -> dict[str, str]:
    settings = {
        "spark.app.name": "routelens",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",  # an overflow is an error, as in DuckDB
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        "spark.sql.variable.substitute": "false",  # ${env:PATH} in a statement would be filled in
        "spark.sql.runSQLOnFiles": "false",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # a run may be called 007
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.speculation": "false",  # a second attempt at a partition would write its files once more
        "spark.log.level": "WARN",
    }
    if is_local(master):
        settings |= {
            "spark.ui.enabled": "false",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": DRIVER_MEMORY,
            "spark.local.dir": str(folder),
            "spark.sql.shuffle.partitions": "8",  # 200 tasks for a table of a few thousand rows take seconds
            "spark.executorEnv.PYTHONPATH": str(_ROOT),
            "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder} -XX:-UsePerfData",
        }
    return settings


def _start(master: str, settings: Mapping[str, str], log: Path) -> Spark:
    try:
        with quiet():
            from pyspark import SparkConf, SparkContext
            from pyspark.java_gateway import launch_gateway
            from pyspark.sql import SparkSession
    except ImportError as error:
        raise SparkError(
            f"--engine spark needs PySpark ({error}): install it with `pip install -r requirements-spark.txt`, or "
            "leave out --engine spark."
        ) from None
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)  # prints every refusal with its stack
    conf = SparkConf().setMaster(master).setAll(list(settings.items()))
    try:
        with log.open("wb") as output:
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})
    except Exception as error:
        raise SparkError(f"Spark does not start: {_reason(log, error)}.") from None
    try:
        with quiet():
            context = SparkContext(conf=conf, gateway=gateway)
            session = SparkSession(context)
        if is_local(master):
            context.pythonExec = sys.executable
        return Spark(session, master, context.defaultParallelism, gateway.proc, log)
    except BaseException as error:
        _end_process(gateway, gateway.proc)
        if not isinstance(error, Exception):
            raise
        raise SparkError(f"Spark does not start on {master}: {_reason(log, error)}.") from None


def _stop(spark: Spark) -> None:
    with suppress(Exception):  # it may have been killed, or lost its cluster
        spark.session.stop()
    _end_process(spark.session.sparkContext._gateway, spark._process)


def _end_process(gateway: Any, process: "subprocess.Popen[bytes]") -> None:
    """The JVM ends when its stdin does; and it ends in any case."""
    from pyspark import SparkContext

    with suppress(Exception):
        gateway.shutdown()
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None


def _reason(log: Path, error: Exception) -> str:
    """One line: what Spark said last in its log, else the error."""
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
        told = [line for line in lines if re.match(r"(Exception in|Error|Caused by|\S*Exception\b)", line)]
        if told:
            return told[-1][:400].rstrip(".")
    return one_line(error)


def is_of_spark(error: Exception) -> bool:
    """Whether Spark or the connection to it failed, rather than our own code."""
    return isinstance(error, ConnectionError | EOFError) or type(error).__module__.startswith(("pyspark.", "py4j."))


def one_line(error: BaseException) -> str:
    """The first sentence of an error of Spark: without the stack of the JVM, and not endless. An error of ours that a
    worker raised speaks for itself."""
    if (ours := re.search(r"moe_core\.errors\.\w+: (.+)", str(error))) is not None:
        return ours[1].strip().rstrip(".")
    if isinstance(error, ConnectionError | EOFError):
        return "its process ended"
    if (told := re.search(r"\[[A-Z][A-Z0-9_.]+\] [^\n]+", str(error))) is not None:
        return _tidy(told[0])
    text = str(error).split("\n\tat ")[0].split("JVM stacktrace")[0]
    return _tidy(text)


def _tidy(text: str) -> str:
    text = " ".join(text.split())
    text = re.split(r"; line \d+ pos|; '| == SQL | Use `try_| If necessary set ", re.sub(r" ?SQLSTATE: \w+", "", text))[
        0
    ]
    return text[:400].rstrip(". ;")
