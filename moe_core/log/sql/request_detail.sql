-- Purpose:    one request
-- Parameters: request_id, run_id (NULL = the newest of that id)
-- Grain:      one row, or none
-- Columns:    those of `requests`
SELECT run_id, request_id, started_at, latency_ms, n_tokens, domain, attributes, text, text_hash, label, score,
    reference_label, active_fraction, flops, flops_dense, budget, mode, actor
FROM request_rows
WHERE request_id = $request_id AND ($run_id IS NULL OR run_id = $run_id)
ORDER BY started_at DESC
LIMIT 1
