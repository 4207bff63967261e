-- Purpose:    every decision of one request
-- Parameters: decisions, tokens (paths of the verified files that hold it), request_no (its number in them)
-- Grain:      one row per (position, layer, expert_id), by position, layer, rank
-- Columns:    position, token_id (NULL after redaction), is_special, layer, expert_id, rank, selected, logit, prob,
--             gate_weight, margin (NULL where not known), flags
SELECT d.position, t.token_id, t.is_special, d.layer, d.expert_id, d.rank, d.selected, d.logit / 1024 AS logit,
    d.prob / 65535 AS prob, d.gate_weight / 65535 AS gate_weight, d.margin / 1024 AS margin, d.flags
FROM read_parquet($decisions, hive_partitioning = false) AS d
LEFT JOIN (
    SELECT position, token_id, is_special FROM read_parquet($tokens, hive_partitioning = false) WHERE request_no = $request_no
) AS t USING (position)
WHERE d.request_no = $request_no
ORDER BY d.position, d.layer, d.rank, d.expert_id
