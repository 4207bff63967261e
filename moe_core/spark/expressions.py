"""Expressions of a DuckDB parse tree -> Spark's SQL."""

from collections.abc import Callable, Sequence

from moe_core.spark import same_meaning as same
from moe_core.spark.words import (
    Node,
    constant_text,
    literal_text,
    only,
    quoted,
    quoted_name,
    refused,
    unknown_function,
    whole_number,
)

NULL_ORDERS = {"ORDER_DEFAULT": "NULLS LAST", "NULLS FIRST": "NULLS FIRST", "NULLS LAST": "NULLS LAST"}
DIRECTIONS = {"ORDER_DEFAULT": "ASC", "ASCENDING": "ASC", "DESCENDING": "DESC"}


class ExpressionPrinter:
    """`query` prints a subquery."""

    def __init__(self, query: Callable[[Node], str]) -> None:
        self._query = query

    def expression(self, node: Node) -> str:
        match node["class"]:
            case "COLUMN_REF":
                only(node, "column_names")
                if str(node["column_names"][-1]).lower() in same.NOT_COLUMNS:
                    raise refused(f"the column name {node['column_names'][-1]}")
                return ".".join(map(quoted_name, node["column_names"]))
            case "CONSTANT":
                only(node, "literal")
                return literal_text(node["literal"])
            case "COMPARISON":
                only(node, "left", "right")
                template = same.COMPARISONS.get(node["type"])
                if template is None:
                    raise refused(str(node["type"]))
                return f"({template.format(self.expression(node['left']), self.expression(node['right']))})"
            case "CONJUNCTION":
                only(node, "children")
                word = {"CONJUNCTION_AND": " AND ", "CONJUNCTION_OR": " OR "}[node["type"]]
                return f"({word.join(map(self.expression, node['children']))})"
            case "BETWEEN":
                only(node, "input", "lower", "upper")
                value, low, high = (self.expression(node[key]) for key in ("input", "lower", "upper"))
                return f"({value} BETWEEN {low} AND {high})"
            case "CASE":
                return self._case(node)
            case "CAST":
                return self._cast(node)
            case "OPERATOR":
                return self._operator(node)
            case "SUBQUERY":
                return self._subquery(node)
            case "FUNCTION":
                return self._function(node)
            case "WINDOW":
                return self._window(node)
            case other:
                raise refused(str(other).replace("_", " "))

    def _case(self, node: Node) -> str:
        only(node, "case_checks", "else_expr")
        checks = [
            f"WHEN {self.expression(check['when_expr'])} THEN {self.expression(check['then_expr'])}"
            for check in node["case_checks"]
        ]
        last = f" ELSE {self.expression(node['else_expr'])}" if node.get("else_expr") else ""
        return f"(CASE {' '.join(checks)}{last} END)"

    def _cast(self, node: Node) -> str:
        only(node, "child", "type_expr")  # TRY_CAST turns other texts into NULL than Spark's
        kind = node["type_expr"]
        name = str(kind.get("type_name", "")).upper()
        if kind.get("type") != "TYPE" or kind.get("children") or name not in same.TYPES:
            raise refused(f"a cast to {name or 'a composed type'}", f"cast to one of {', '.join(same.TYPES)}")
        return f"CAST({self.expression(node['child'])} AS {same.TYPES[name]})"

    def _operator(self, node: Node) -> str:
        only(node, "children")
        children = node["children"]
        match node["type"]:
            case "OPERATOR_NOT":
                return f"(NOT {self.expression(children[0])})"
            case "OPERATOR_IS_NULL":
                return f"({self.expression(children[0])} IS NULL)"
            case "OPERATOR_IS_NOT_NULL":
                return f"({self.expression(children[0])} IS NOT NULL)"
            case "OPERATOR_COALESCE":
                return f"coalesce({', '.join(map(self.expression, children))})"
            case "COMPARE_IN" | "COMPARE_NOT_IN":
                word = "IN" if node["type"] == "COMPARE_IN" else "NOT IN"
                return f"({self.expression(children[0])} {word} ({', '.join(map(self.expression, children[1:]))}))"
            case "ARRAY_EXTRACT" if constant_text(children[1]) is not None:
                return f"{self.expression(children[0])}[{self.expression(children[1])}]"
            case "ARRAY_EXTRACT":
                raise refused("a subscript that is not a text, as in attributes['key']")
            case other:
                raise refused(str(other).replace("_", " "))

    def _subquery(self, node: Node) -> str:
        only(node, "subquery_type", "subquery", "child", "comparison_type")
        inner = f"({self._query(node['subquery']['node'])})"
        match node["subquery_type"], node.get("comparison_type"):
            case "SCALAR", _:
                return inner
            case "EXISTS", _:
                return f"(EXISTS {inner})"
            case "ANY", "COMPARE_EQUAL":
                return f"({self.expression(node['child'])} IN {inner})"
            case kind, comparison:
                raise refused(f"{kind} with {comparison}")

    def _function(self, node: Node) -> str:
        only(node, "function_name", "filter", "distinct", "arguments", "order_bys")
        if (node.get("order_bys") or {}).get("orders"):
            raise refused("ORDER BY inside of a function")
        name = str(node["function_name"]).lower()
        if name == "count_star" or name in same.AGGREGATES:
            return self._aggregate(node, name) + (
                f" FILTER (WHERE {self.expression(node['filter'])})" if node.get("filter") else ""
            )
        if node.get("filter") or node.get("distinct"):
            raise unknown_function(name)
        arguments = _arguments(node)
        if name in same.OPERATORS and len(arguments) in (1, 2):
            printed = [self.expression(argument) for argument in arguments]
            return f"({name} {printed[0]})" if len(printed) == 1 else f"({printed[0]} {name} {printed[1]})"
        if name in ("~~", "!~~") and (pattern := constant_text(arguments[1])) is not None and "\\" not in pattern:
            word = "LIKE" if name == "~~" else "NOT LIKE"
            return f"({self.expression(arguments[0])} {word} {quoted(pattern)})"
        if name in ("date_part", "date_trunc") and len(arguments) == 2:
            unit = (constant_text(arguments[0]) or "").lower()
            if unit not in (same.DATE_PARTS if name == "date_part" else same.DATE_UNITS):
                raise refused(f"{name} with {unit or 'no constant unit'!r}", f"use one of {', '.join(same.DATE_PARTS)}")
            call = f"{name}({quoted(unit)}, {self.expression(arguments[1])})"
            return call if name == "date_part" else f"CAST({call} AS TIMESTAMP_NTZ)"
        if name in same.SCALARS and len(arguments) in same.SCALARS[name][1]:
            return same.SCALARS[name][0].format(", ".join(map(self.expression, arguments)))
        raise unknown_function(name)

    def _aggregate(self, node: Node, name: str) -> str:
        arguments = _arguments(node)
        if name == "count_star" or (name == "count" and not arguments and not node.get("distinct")):
            return "count(*)"
        if len(arguments) != 1:
            raise unknown_function(name)
        return f"{same.AGGREGATES[name]}({'DISTINCT ' if node.get('distinct') else ''}{self.expression(arguments[0])})"

    def _window(self, node: Node) -> str:
        only(node, "function_name", "arguments", "partitions", "orders", "start", "end", "start_expr", "end_expr",
              "exclude_clause", "filter_expr", "has_ignore_nulls", "ignore_nulls")  # fmt: skip
        name = str(node["function_name"]).lower()
        if node.get("exclude_clause") != "NO_OTHER":
            raise refused("EXCLUDE in a window")
        if node.get("ignore_nulls") or node.get("filter_expr"):
            raise refused("IGNORE NULLS or FILTER in a window")
        if name in same.WINDOW_FUNCTIONS:
            call = f"{name}({', '.join(map(self.expression, _arguments(node)))})"
        elif name == "count_star" or name in same.AGGREGATES:
            call = self._aggregate(node, name)
        else:
            raise unknown_function(name)
        parts = []
        if node.get("partitions"):
            parts.append(f"PARTITION BY {', '.join(map(self.expression, node['partitions']))}")
        if node.get("orders"):
            parts.append(f"ORDER BY {self.orders(node['orders'])}")
        frame = node["start"], node["end"]
        if frame != ("UNBOUNDED_PRECEDING", "CURRENT_ROW_RANGE"):  # the default, which some functions may not name
            kind = "ROWS" if any(word.endswith("_ROWS") for word in frame) else "RANGE"
            start, end = (_frame_end(node, side) for side in ("start", "end"))
            parts.append(f"{kind} BETWEEN {start} AND {end}")
        return f"{call} OVER ({' '.join(parts)})"

    def orders(self, orders: Sequence[Node]) -> str:
        if [order["expression"]["type"] for order in orders] == ["STAR"]:
            only(orders[0]["expression"], "columns")
            return f"ALL {DIRECTIONS[orders[0]['type']]} {NULL_ORDERS[orders[0]['null_order']]}"
        return ", ".join(
            f"{self.ordinal_or_expression(order['expression'])} {DIRECTIONS[order['type']]} "
            f"{NULL_ORDERS[order['null_order']]}"
            for order in orders
        )

    def ordinal_or_expression(self, node: Node) -> str:
        """In GROUP BY and ORDER BY a whole number is the place of a column; any other constant means nothing there."""
        if node["class"] == "CONSTANT":
            return whole_number(node)
        return self.expression(node)


def _frame_end(node: Node, side: str) -> str:
    template = same.FRAMES.get(node[side])
    if template is None:
        raise refused(f"a window frame with {str(node[side]).replace('_', ' ')}")
    return template.format(whole_number(node[f"{side}_expr"])) if "{}" in template else template


def _arguments(node: Node) -> list[Node]:
    for argument in node.get("arguments") or []:
        only(argument, "expression")  # a name would be a named argument
    return [argument["expression"] for argument in node.get("arguments") or []]
