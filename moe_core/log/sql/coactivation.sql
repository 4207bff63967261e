-- Purpose:    which experts run for the same tokens
-- Parameters: run_id, layer (each NULL = all)
-- Grain:      one row per (layer, first, second) that ran together at least once; first < second
-- Columns:    layer, first, second (expert ids), n (tokens for which both ran)
SELECT layer, first, second, sum(n)::BIGINT AS n
FROM pair_sums
WHERE ($run_id IS NULL OR run_id = $run_id) AND ($layer IS NULL OR layer = $layer)
GROUP BY layer, first, second
ORDER BY layer, first, second
