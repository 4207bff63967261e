"""Imports point one way: the table of the house, checked."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEAVES = {"compiled", "errors", "records", "config", "request_files"}
ALLOWED = {  # part -> parts of moe_core it may import, besides the leaves
    "model": set(),
    "sources": set(),
    "log": set(),
    "analysis": set(),
    "charts": set(),
    "explain": {"model", "analysis"},
    "dashboard": {"model", "log", "analysis", "charts", "evaluation", "explain"},
    "evaluation": {"model", "analysis"},
    "bench": {"model", "log", "analysis"},
    "spark": {"model", "log"},
    "cli": {"model", "log", "analysis", "sources", "evaluation", "bench", "spark", "explain"},
}
OUTSIDE = {  # part -> heavy outside packages it must not load
    "model": {"duckdb", "streamlit", "plotly", "pandas", "pyarrow", "pyspark"},
    "explain": {"duckdb", "streamlit", "plotly", "pandas", "pyarrow", "pyspark"},
    "evaluation": {"duckdb", "streamlit", "plotly", "pandas", "pyarrow", "pyspark"},
    "sources": {"torch", "duckdb", "streamlit", "plotly"},
    "log": {"torch", "streamlit", "plotly", "pyspark"},
    "analysis": {"torch", "duckdb", "streamlit", "plotly"},
    "charts": {"torch", "duckdb", "streamlit"},
    "dashboard": {"torch", "duckdb", "pyspark"},
    "bench": {"duckdb", "streamlit", "plotly", "pandas", "pyarrow", "pyspark"},
    "spark": {"duckdb", "streamlit", "plotly", "pandas"},
    "cli": {"streamlit", "plotly", "duckdb", "pyspark"},
}
PARTS = sorted(ALLOWED)


def imports(path: Path) -> set[str]:
    """Full dotted names imported anywhere in a file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files_of(part: str) -> list[Path]:
    return sorted((ROOT / "moe_core" / part).rglob("*.py"))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_the_parts_below_it(part: str) -> None:
    """A layer never imports a layer beside or above it."""
    for path in files_of(part):
        for name in imports(path):
            pieces = name.split(".")
            if pieces[0] == "moe_core" and len(pieces) > 1:
                assert pieces[1] in LEAVES | ALLOWED[part] | {part}, f"{path} imports {name}"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_stays_free_of_the_libraries_of_other_parts(part: str) -> None:
    """Reading the log never loads torch, running the model never loads DuckDB, pages never compute."""
    for path in files_of(part):
        heavy = {name.split(".")[0] for name in imports(path)} & OUTSIDE[part]
        assert not heavy, f"{path} imports {heavy}"


def test_leaf_modules_import_nothing_of_the_project_but_leaves() -> None:
    """Everyone may import the leaves, so they import nobody."""
    for leaf in LEAVES:
        for name in imports(ROOT / "moe_core" / f"{leaf}.py"):
            pieces = name.split(".")
            assert pieces[0] != "moe_core" or pieces[1] in LEAVES, f"{leaf} imports {name}"


def test_every_part_is_in_the_table_and_the_package_root_is_empty() -> None:
    """A new folder needs a place in the table; importing a layer never loads another one by accident."""
    parts = {path.name for path in (ROOT / "moe_core").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert parts == set(PARTS)
    assert (ROOT / "moe_core" / "__init__.py").read_text() == ""


def test_no_pages_folder_lies_beside_the_main_script() -> None:
    """Streamlit's old automatic menu would serve pages without their frame on a cold deep link."""
    assert not (ROOT / "moe_core" / "dashboard" / "pages").exists()


def test_the_log_stands_without_its_imports() -> None:
    """`log/imports` is built on the log; nothing else of the log knows of it."""
    for path in (ROOT / "moe_core" / "log").glob("*.py"):
        assert not {name for name in imports(path) if name.startswith("moe_core.log.imports")}, path
