"""The stock questions: saved SELECTs that `routelens query --example` and the SQL page offer.

Each is a file of `sql/questions/` in SQL that DuckDB and Spark both understand, with one definite order of its rows,
so that the answers of two engines can be compared row by row.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from moe_core.errors import InputError

_SQL_DIR = Path(__file__).parent / "sql" / "questions"
_TITLE = "-- Title: "
NAMES = (
    "load_by_expert",
    "experts_per_token",
    "busiest_experts",
    "load_by_domain",
    "compute_by_domain",
    "hours",
    "hungriest_tokens",
    "closest_calls",
    "expert_pairs",
    "runs_compared",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StockQuestion:
    """`name` as on the command line; `title`: the question in English; `sql`: one SELECT with its header comment."""

    name: str
    title: str
    sql: str


@cache
def stock_questions() -> tuple[StockQuestion, ...]:
    """All of them, in the order in which they are offered."""
    return tuple(_read(name) for name in NAMES)


def stock_question(name: str) -> StockQuestion:
    """Raises InputError for a name that is none."""
    if name not in NAMES:
        raise InputError(f"There is no example {name!r}: use one of {', '.join(NAMES)}.")
    return _read(name)


def _read(name: str) -> StockQuestion:
    sql = (_SQL_DIR / f"{name}.sql").read_text(encoding="utf-8")
    first = sql.splitlines()[0]
    assert first.startswith(_TITLE), name
    return StockQuestion(name=name, title=first.removeprefix(_TITLE), sql=sql)
