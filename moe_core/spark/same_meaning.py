"""What means the same in DuckDB and in Spark: the functions, types and words that `printing` may translate.

A name that both engines know is no proof: `round` breaks ties differently, `log` has another base, `upper('ß')`
differs, an array counts from 1 here and from 0 there. So these are lists of what was compared, and the rest is refused.
"""

# DuckDB's name -> Spark's name, all with one argument
AGGREGATES = {
    "count": "count", "sum": "sum", "min": "min", "max": "max", "avg": "avg", "mean": "avg", "median": "median",
    "stddev": "stddev_samp", "stddev_samp": "stddev_samp", "stddev_pop": "stddev_pop", "variance": "var_samp",
    "var_samp": "var_samp", "var_pop": "var_pop", "bool_and": "bool_and", "bool_or": "bool_or",
}  # fmt: skip

# DuckDB's name -> Spark's spelling and the numbers of arguments it may have; floor stays a real number, as in DuckDB
SCALARS = {
    "abs": ("abs({})", range(1, 2)),
    "floor": ("CAST(floor({}) AS DOUBLE)", range(1, 2)),
    "ceil": ("CAST(ceil({}) AS DOUBLE)", range(1, 2)),
    "ceiling": ("CAST(ceil({}) AS DOUBLE)", range(1, 2)),
    "pow": ("power({})", range(2, 3)),
    "power": ("power({})", range(2, 3)),
    "nullif": ("nullif({})", range(2, 3)),
    "greatest": ("greatest({})", range(2, 100)),
    "least": ("least({})", range(2, 100)),
    "if": ("if({})", range(3, 4)),
    "length": ("char_length({})", range(1, 2)),
    "starts_with": ("startswith({})", range(2, 3)),
    "contains": ("contains({})", range(2, 3)),
}

OPERATORS = frozenset({"+", "-", "*", "/", "%", "||"})

WINDOW_FUNCTIONS = frozenset({
    "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value",
    "last_value",
})  # fmt: skip

FRAMES = {
    "UNBOUNDED_PRECEDING": "UNBOUNDED PRECEDING",
    "UNBOUNDED_FOLLOWING": "UNBOUNDED FOLLOWING",
    "CURRENT_ROW_RANGE": "CURRENT ROW",
    "CURRENT_ROW_ROWS": "CURRENT ROW",
    "EXPR_PRECEDING_ROWS": "{} PRECEDING",
    "EXPR_FOLLOWING_ROWS": "{} FOLLOWING",
}

COMPARISONS = {
    "COMPARE_EQUAL": "{} = {}",
    "COMPARE_NOTEQUAL": "{} <> {}",
    "COMPARE_LESSTHAN": "{} < {}",
    "COMPARE_GREATERTHAN": "{} > {}",
    "COMPARE_LESSTHANOREQUALTO": "{} <= {}",
    "COMPARE_GREATERTHANOREQUALTO": "{} >= {}",
    "COMPARE_DISTINCT_FROM": "NOT ({} <=> {})",
    "COMPARE_NOT_DISTINCT_FROM": "{} <=> {}",
}

TYPES = {
    "BOOLEAN": "BOOLEAN", "TINYINT": "TINYINT", "SMALLINT": "SMALLINT", "INTEGER": "INT", "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE", "VARCHAR": "STRING", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP_NTZ",
}  # fmt: skip

DATE_PARTS = frozenset({"year", "quarter", "month", "week", "day", "hour", "minute"})
DATE_UNITS = frozenset({"year", "quarter", "month", "week", "day", "hour", "minute", "second"})

# names that Spark reads as calls where there is no such column, in backticks too
NOT_COLUMNS = frozenset({
    "current_catalog", "current_database", "current_date", "current_path", "current_role", "current_schema",
    "current_time", "current_timestamp", "current_user", "grouping__id", "localtime", "localtimestamp", "session_user",
    "user",
})  # fmt: skip

JOINS = {"INNER": "JOIN", "LEFT": "LEFT JOIN", "RIGHT": "RIGHT JOIN", "FULL": "FULL JOIN", "SEMI": "LEFT SEMI JOIN",
         "ANTI": "LEFT ANTI JOIN"}  # fmt: skip
SET_OPERATIONS = frozenset({"UNION", "INTERSECT", "EXCEPT"})

HINTS = {
    "round": "write floor(x * n + 0.5) / n",
    "any_value": "write min(x) or max(x)",
    "first": "write min(x) or max(x)",
    "//": "write floor(a / b)",
}
