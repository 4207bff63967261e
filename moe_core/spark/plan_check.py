"""Casts that DuckDB and Spark do differently, found in Spark's analyzed plan, where every type is known.

DuckDB rounds a fraction that becomes an integer, Spark cuts it off; a fraction as text is written in another way.
"""

from typing import Any

from moe_core.errors import QueryError

_FRACTIONS = ("double", "float", "decimal")
_WHOLE = ("tinyint", "smallint", "int", "bigint", "byte", "short", "integer", "long")


def check_casts(frame: Any) -> None:
    """`frame`: pyspark's DataFrame of the statement. The relations themselves are ours and not looked into. Raises
    QueryError."""
    plans = [frame._jdf.queryExecution().analyzed()]
    while plans:
        plan = plans.pop()
        if plan.nodeName() == "View":
            continue
        plans += _items(plan.children())
        expressions = _items(plan.expressions())
        while expressions:
            expression = expressions.pop()
            name = expression.getClass().getSimpleName()
            children = _items(expression.children())
            if name == "Cast":
                _check(children[0].dataType().catalogString(), expression.dataType().catalogString())
            if holds_a_query(name):
                plans.append(expression.plan())
            expressions += children


def holds_a_query(name: str) -> bool:
    """Expressions that hold a query of their own."""
    return name in ("ScalarSubquery", "Exists", "ListQuery", "LateralSubquery")


def _check(source: str, target: str) -> None:
    if not source.startswith(_FRACTIONS):
        return
    if target.startswith(_WHOLE):
        raise QueryError(
            "DuckDB rounds a fraction that is cast to an integer, Spark cuts it off: write floor(x + 0.5) without the "
            "cast, or leave out --engine spark."
        )
    if target == "string":
        raise QueryError(
            "DuckDB and Spark write fractions as text in different ways: leave the number a number, or leave out "
            "--engine spark."
        )


def _items(sequence: Any) -> list[Any]:
    """A Scala Seq as a list."""
    return [sequence.apply(i) for i in range(sequence.size())]
