-- Adds the requests of some verified batches to request_rows. $requests: their requests files; $batch_ids: their ids, in
-- the same order (the file of a batch that was rewritten does not carry its id in its name).
INSERT INTO request_rows
SELECT run, request_no, batch_id, request_id, started_at, latency_ms,
    n_tokens, domain, attributes, text, text_hash, label, score, reference_label, active_fraction, flops, flops_dense,
    budget, mode, actor
FROM read_parquet($requests, hive_partitioning = true, hive_types_autocast = false, filename = true)
JOIN (SELECT unnest($requests) AS filename, unnest($batch_ids) AS batch_id) USING (filename)
