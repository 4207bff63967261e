"""DuckDB's parse tree of one SELECT -> the same SELECT in Spark's SQL.

Nothing of the user's text reaches Spark: every word is printed from here, names in backticks, texts escaped, so that
what Spark reads is what DuckDB's parser read and `statement_guard` judged. What is not on the lists of
`same_meaning` is refused, new syntax included: an answer is the same on both engines, or there is none.
"""

from collections.abc import Mapping
from typing import Any

from moe_core.errors import QueryError
from moe_core.spark import same_meaning as same
from moe_core.spark.expressions import ExpressionPrinter
from moe_core.spark.words import Node, only, quoted_name, refused, whole_number


def spark_sql(tree: Node) -> str:
    """`tree`: parsed answer of DuckDB's `json_serialize_sql`, accepted by `statement_guard`. Raises QueryError for
    what the engines do not understand alike."""
    (statement,) = tree["statements"]
    try:
        return _query(statement["node"])
    except RecursionError:
        raise QueryError("The statement is nested too deeply; write it with fewer levels.") from None
    except (KeyError, TypeError, ValueError) as error:
        raise refused(f"a form that is not known here ({error})") from None


def _query(node: Node) -> str:
    kind = node["type"]
    if kind == "SET_OPERATION_NODE":
        only(node, "modifiers", "cte_map", "setop_type", "setop_all", "children")
        if node["setop_type"] not in same.SET_OPERATIONS:
            raise refused(str(node["setop_type"]).replace("_", " "))
        word = f" {node['setop_type']}{' ALL' if node.get('setop_all') else ''} "
        body = word.join(f"({_query(child)})" for child in node["children"])
    elif kind == "SELECT_NODE":
        body = _select(node)
    else:
        raise refused(str(kind).removesuffix("_NODE").replace("_", " "))
    return _with(node) + body + _modifiers(node)


def _with(node: Node) -> str:
    parts = []
    for entry in (node.get("cte_map") or {}).get("map") or []:
        value = entry["value"]
        only(value, "materialized", "query_node", "aliases")
        columns = f" ({', '.join(map(quoted_name, value['aliases']))})" if value.get("aliases") else ""
        parts.append(f"{quoted_name(entry['key'])}{columns} AS ({_query(value['query_node'])})")
    return f"WITH {', '.join(parts)} " if parts else ""


def _select(node: Node) -> str:
    only(node, "modifiers", "cte_map", "select_list", "from_table", "where_clause", "group_expressions", "group_sets",
          "aggregate_handling", "having")  # fmt: skip
    source = node["from_table"]
    items = [_item(item) for item in node["select_list"]]
    if _has_using(source) and any(item["type"] == "STAR" for item in node["select_list"]):
        raise refused("* over a join with USING", "name the columns")
    distinct = any(modifier["type"] == "DISTINCT_MODIFIER" for modifier in node.get("modifiers") or [])
    parts = [f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(items)}"]
    if source["type"] != "EMPTY":
        parts.append(f"FROM {_source(source)}")
    if node.get("where_clause"):
        parts.append(f"WHERE {_PRINT.expression(node['where_clause'])}")
    groups = node.get("group_expressions") or []
    if node.get("aggregate_handling") == "FORCE_AGGREGATES":
        parts.append("GROUP BY ALL")
    elif groups:
        if node.get("group_sets") != [list(range(len(groups)))]:
            raise refused("GROUPING SETS")
        parts.append(f"GROUP BY {', '.join(map(_PRINT.ordinal_or_expression, groups))}")
    if node.get("having"):
        parts.append(f"HAVING {_PRINT.expression(node['having'])}")
    return " ".join(parts)


def _item(node: Node) -> str:
    if node["type"] == "STAR":
        only(node, "relation_name")
        return f"{quoted_name(node['relation_name'])}.*" if node.get("relation_name") else "*"
    return _PRINT.expression(node) + (f" AS {quoted_name(node['alias'])}" if node.get("alias") else "")


def _modifiers(node: Node) -> str:
    order = limit = ""
    for modifier in node.get("modifiers") or []:
        if modifier["type"] == "ORDER_MODIFIER":
            only(modifier, "orders")
            order = f" ORDER BY {_PRINT.orders(modifier['orders'])}"
        elif modifier["type"] == "LIMIT_MODIFIER":
            only(modifier, "limit", "offset", "limit_type")
            if modifier.get("limit_type") != "ROW_COUNT":
                raise refused("LIMIT with a percentage")
            limit += f" LIMIT {whole_number(modifier['limit'])}" if modifier.get("limit") else ""
            limit += f" OFFSET {whole_number(modifier['offset'])}" if modifier.get("offset") else ""
        elif modifier["type"] == "DISTINCT_MODIFIER" and node["type"] == "SELECT_NODE":
            only(modifier)  # DISTINCT ON has targets
        else:
            raise refused(str(modifier["type"]).removesuffix("_MODIFIER"))
    return order + limit


def _source(node: Node) -> str:
    kind = node["type"]
    if kind == "BASE_TABLE":
        only(node, "column_name_alias")
        return quoted_name(node["qualified_name"]["path"][-1]) + _as_table(node)
    if kind == "SUBQUERY":
        only(node, "subquery", "column_name_alias")
        return f"({_query(node['subquery']['node'])}){_as_table(node)}"
    if kind != "JOIN":
        raise refused(f"{str(kind).replace('_', ' ')} in FROM")
    only(node, "left", "right", "condition", "join_type", "ref_type", "using_columns", "is_implicit", "nearest_count",
          "nearest_order_type", "delim_flipped")  # fmt: skip
    left, right = _source(node["left"]), _source(node["right"])
    right = f"({right})" if node["right"]["type"] == "JOIN" else right
    if node["ref_type"] == "CROSS":
        return f"{left} CROSS JOIN {right}"
    if node["ref_type"] != "REGULAR" or node["join_type"] not in same.JOINS:
        raise refused(f"{node['ref_type']} {node['join_type']} JOIN")
    word = f"{left} {same.JOINS[node['join_type']]} {right}"
    if node.get("using_columns"):
        return f"{word} USING ({', '.join(map(quoted_name, node['using_columns']))})"
    return f"{word} ON {_PRINT.expression(node['condition'])}"


def _has_using(node: Node) -> bool:
    if node["type"] != "JOIN":
        return False
    return bool(node.get("using_columns")) or _has_using(node["left"]) or _has_using(node["right"])


def _as_table(node: Node) -> str:
    columns = node.get("column_name_alias") or []
    alias = f" AS {quoted_name(node['alias'])}" if node.get("alias") else ""
    if columns and not alias:
        alias = f" AS {quoted_name(node['qualified_name']['path'][-1])}"
    return alias + (f" ({', '.join(map(quoted_name, columns))})" if columns else "")


def names_in(tree: Any) -> set[str]:
    """All names of columns in a tree, lower case, and "*" where there is a star."""
    found: set[str] = set()
    rest = [tree]
    while rest:
        item = rest.pop()
        if isinstance(item, Mapping):
            if item.get("class") == "STAR":
                found.add("*")
            for key in ("column_names", "using_columns", "column_name_alias", "aliases"):
                found |= {str(name).lower() for name in item.get(key) or []}
            rest.extend(item.values())
        elif isinstance(item, list):
            rest.extend(item)
    return found


_PRINT = ExpressionPrinter(_query)
