-- Adds the requests of some verified batches to request_rows. new_requests: their rows, with batch_id and run_id.
INSERT INTO request_rows
SELECT run_id, request_no, batch_id, request_id, started_at, latency_ms,
    n_tokens, domain, attributes, text, text_hash, label, score, reference_label, active_fraction, flops, flops_dense,
    budget, mode, actor
FROM new_requests
