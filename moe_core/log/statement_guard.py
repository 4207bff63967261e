"""What one statement of the SQL console may contain, judged by its parse tree before DuckDB binds or runs it.

A SELECT can do more than read the four relations: a CTE can delete, a table function can read a listed file by its
path, run SQL from a text or change settings, and system views and `current_setting` show paths of the server. So the
tree (`json_serialize_sql`) is walked, and whatever is not on the lists below is refused, new syntax included.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

RELATIONS = ("runs", "requests", "tokens", "decisions")
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
REFUSED_FUNCTIONS = frozenset({
    "current_setting", "getvariable", "getenv", "pg_get_viewdef", "pg_get_constraintdef",  # show the server's insides
    "json_serialize_plan",  # binds SQL that stands in a text
    "write_log", "nextval", "currval", "setval",  # leave something behind
    "sleep_ms", "pg_sleep",  # hold the process without work
    "stats", "vector_type",  # made for tests of DuckDB
})  # fmt: skip
_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SOURCES = frozenset({"BASE_TABLE", "JOIN", "SUBQUERY", "EMPTY", "TABLE_FUNCTION", "EXPRESSION_LIST", "PIVOT",
                      "SHOW_REF"})  # fmt: skip
_OTHERS = re.compile(r"\w+_MODIFIER|ORDER_DEFAULT|ASCENDING|DESCENDING")
_PLAIN_NAME = re.compile(r"\w[\w -]*")  # no path and no address can be spelled with it
_SCHEMAS: tuple[list[str], ...] = ([], ["main"], ["memory", "main"])


def refusal(tree: Mapping[str, Any], catalog: Collection[str]) -> str | None:
    """Why a statement is refused, as one sentence; None if it may run.

    tree: the parsed answer of `json_serialize_sql`. catalog: lower-case names of all tables and views that exist;
    a CTE may not take one of them, because outside its scope the name would mean the other thing.
    """
    if tree.get("error"):
        return f"DuckDB refuses the query: {tree.get('error_message', 'it cannot be parsed')}"
    nodes = list(_nodes(tree))
    names = {str(name).lower() for node in nodes for name in _cte_names(node)}
    for name in names:
        if not _PLAIN_NAME.fullmatch(name) or (name in catalog and name not in RELATIONS):
            return f"WITH cannot use the name {name!r}; choose another one."
    for node in nodes:
        if (reason := _refusal_of(node, names)) is not None:
            return reason
    return None


def _refusal_of(node: Mapping[str, Any], names: Collection[str]) -> str | None:
    kind = node.get("type")
    if not isinstance(kind, str):
        return None
    if "class" in node:  # an expression
        return _function_refusal(node) if "function_name" in node else None
    if kind == "BASE_TABLE" or node.get("show_type") == "SHOW":
        path = [str(part).lower() for part in node["qualified_name"]["path"]]
        is_known = path[-1] in RELATIONS and path[:-1] in _SCHEMAS
        if not is_known and not (len(path) == 1 and path[0] in names):
            return f"There is no relation {'.'.join(path)!r} to ask: use {', '.join(RELATIONS[:3])} or {RELATIONS[3]}."
    elif kind == "TABLE_FUNCTION":
        function = node["function"]
        path = function.get("qualified_name", {}).get("path", [])
        if function.get("function_name", "").lower() not in TABLE_FUNCTIONS or len(path) > 1:
            return f"The console does not allow {'.'.join(path)}() in FROM: ask the relations {', '.join(RELATIONS)}."
    elif kind == "SHOW_REF" and not node.get("query"):
        return f"Only a relation or a SELECT can be described, as in DESCRIBE runs; relations: {', '.join(RELATIONS)}."
    elif kind not in _NODES and kind not in _SOURCES and not _OTHERS.fullmatch(kind):
        word = kind.removesuffix("_QUERY_NODE").replace("_", " ")
        return f"The console answers exactly one SELECT; this one also contains {word}."
    return None


def _function_refusal(node: Mapping[str, Any]) -> str | None:
    name = str(node["function_name"]).lower()
    if name in REFUSED_FUNCTIONS or name.startswith("__internal"):
        return f"The console does not allow the function {name}()."
    return None


def _cte_names(node: Mapping[str, Any]) -> Iterator[str]:
    if "cte_name" in node:
        yield node["cte_name"]
    if isinstance(named := node.get("cte_map"), Mapping):
        yield from (entry["key"] for entry in named.get("map", []))


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of a JSON document, without recursion: a hostile statement is deep."""
    rest = [tree]
    while rest:
        item = rest.pop()
        if isinstance(item, Mapping):
            yield item
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
