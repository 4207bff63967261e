-- `tokens` and `decisions` over verified files, on top of request_rows. What stands in braces is filled in by views.py:
-- read_parquet(...) with exactly the listed files (DuckDB takes no parameters in a view), and whether they are temporary.
-- The GROUP BY changes nothing, there is one row per position; but it lets DuckDB leave out the join where token_id is
-- not asked for (10 M decisions, count per expert: 0.24 s CPU instead of 0.49).
CREATE OR REPLACE {TEMP} VIEW tokens AS
SELECT t.run AS run_id, r.request_id, t.position, t.token_id, t.is_special
FROM {TOKENS} AS t
JOIN request_rows AS r ON r.run_id = t.run AND r.request_no = t.request_no;

CREATE OR REPLACE {TEMP} VIEW decisions AS
SELECT d.run AS run_id, r.request_id, d.position, t.token_id, d.layer, d.expert_id, d.rank, d.selected,
    d.logit / 1024 AS logit, d.prob / 65535 AS prob, d.gate_weight / 65535 AS gate_weight, d.margin / 1024 AS margin,
    d.flags
FROM {SEGMENTS} AS d
JOIN request_rows AS r ON r.run_id = d.run AND r.request_no = d.request_no
LEFT JOIN (
    SELECT run, request_no, position, any_value(token_id) AS token_id FROM {TOKENS} GROUP BY run, request_no, position
) AS t ON t.run = d.run AND t.request_no = d.request_no AND t.position = d.position;
