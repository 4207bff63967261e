"""Single words of a statement for Spark, and the refusal of what has none."""

import re
from collections.abc import Mapping
from typing import Any

from moe_core.errors import QueryError
from moe_core.spark import same_meaning as same

Node = Mapping[str, Any]
_NO_CONTENT = ("class", "type", "alias", "query_location", "query_location_length", "qualified_name", "table_name",
               "is_operator", "export_state", "schema_name")  # fmt: skip


def only(node: Node, *keys: str) -> None:
    """Raises QueryError where the node says more than what these keys hold."""
    for key, value in node.items():
        if key not in keys and key not in _NO_CONTENT and value not in ("", None, [], {}, False):
            raise refused(key.replace("_", " "))


def quoted_name(name: Any) -> str:
    return "`" + str(name).replace("`", "``") + "`"


def quoted(text: str) -> str:
    """A text as Spark reads it: backslashes and quotes escaped."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literal_text(literal: Node) -> str:
    kind, text = literal["kind"], str(literal.get("text", ""))
    if kind == "NULL_LITERAL":
        return "NULL"
    if kind == "STRING":
        return quoted(text)
    if kind == "BOOLEAN" and text.lower() in ("true", "false"):
        return text.upper()
    if kind == "INTEGER" and re.fullmatch(r"-?\d{1,19}", text) and abs(int(text)) < 2**63:
        return f"({text})" if text.startswith("-") else text
    if kind == "NUMERIC" and re.fullmatch(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", text):
        return f"(CAST('{text}' AS DOUBLE))"  # decimals have other scales in Spark: 1.0 / 3 would be 0.333333
    raise refused(f"the constant {text!r}")


def constant_text(node: Node) -> str | None:
    """The text of a constant that is one."""
    literal = node.get("literal") if node["class"] == "CONSTANT" else None
    return str(literal["text"]) if literal and literal["kind"] == "STRING" else None


def whole_number(node: Node) -> str:
    literal = node.get("literal") if node["class"] == "CONSTANT" else None
    if not literal or literal["kind"] != "INTEGER" or not re.fullmatch(r"\d{1,9}", str(literal["text"])):
        raise refused("something other than a whole number in LIMIT, ORDER BY, GROUP BY or a window frame")
    return str(literal["text"])


def refused(what: str, hint: str = "") -> QueryError:
    return QueryError(
        f"Spark is asked only what it answers as DuckDB does, and that is not known of {what}: "
        f"{hint + ', or ' if hint else ''}leave out --engine spark."
    )


def unknown_function(name: str) -> QueryError:
    return refused(f"{name}()", same.HINTS.get(name, ""))
