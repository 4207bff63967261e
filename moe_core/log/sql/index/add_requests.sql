-- Adds the requests of some verified batches to request_rows. $requests: their requests files.
INSERT INTO request_rows
SELECT run, request_no, regexp_extract(filename, '([^/]+)\.requests\.parquet$', 1), request_id, started_at, latency_ms,
    n_tokens, domain, attributes, text, text_hash, label, score, reference_label, active_fraction, flops, flops_dense,
    budget, mode, actor
FROM read_parquet($requests, hive_partitioning = true, hive_types_autocast = false, filename = true)
