-- Purpose:    how long requests took, by mode and budget
-- Parameters: run_id (NULL = all)
-- Grain:      one row per (mode, budget)
-- Columns:    mode, budget (NULL where the mode has none), n (requests with a known latency), p50_ms, p95_ms, p99_ms,
--             mean_ms, mean_tokens
SELECT mode, budget, count(latency_ms) AS n, quantile_cont(latency_ms, 0.5) AS p50_ms,
    quantile_cont(latency_ms, 0.95) AS p95_ms, quantile_cont(latency_ms, 0.99) AS p99_ms, avg(latency_ms) AS mean_ms,
    avg(n_tokens) AS mean_tokens
FROM request_rows
WHERE $run_id IS NULL OR run_id = $run_id
GROUP BY mode, budget
ORDER BY mode, budget NULLS FIRST
