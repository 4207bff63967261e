"""Connections to DuckDB: one place makes them, and they print nothing."""

import subprocess
import sys
from pathlib import Path

from tests.unit.log.relations import ROOT

ASK = """
import sys
from pathlib import Path
from moe_core.log.connections import connect, connect_in_memory
for connection in (connect_in_memory(), connect(Path(sys.argv[1])), connect_in_memory(sys.argv[2])):
    for asked in (connection, connection.cursor()):
        print(asked.execute("SELECT value FROM duckdb_settings() WHERE name = 'enable_progress_bar'").fetchall()[0][0])
"""


def test_no_progress_bar_is_printed(tmp_path: Path) -> None:
    """DuckDB turns it on where Python runs without a script, as with `python -c`; it goes to stdout."""
    command = [sys.executable, "-c", ASK, str(tmp_path / "x.duckdb"), str(tmp_path / "temp")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["false"] * 6


def test_no_other_file_makes_a_connection() -> None:
    """So that none is forgotten."""
    found = [p.name for p in (ROOT / "moe_core").rglob("*.py") if "duckdb.connect(" in p.read_text(encoding="utf-8")]
    assert found == ["connections.py"]
