-- Purpose:    what an audit knows about the requests of some runs, texts left out
-- Parameters: run_ids (a list)
-- Grain:      one row per request
-- Columns:    run_id, request_id, started_at, latency_ms, n_tokens, n_characters (of the text; NULL after redaction),
--             domain, attributes, label, score, reference_label, active_fraction, flops, flops_dense, budget, mode, actor
SELECT run_id, request_id, started_at, latency_ms, n_tokens, length(text) AS n_characters, domain, attributes, label, score,
    reference_label, active_fraction, flops, flops_dense, budget, mode, actor
FROM request_rows
WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[]))
ORDER BY run_id, request_no
