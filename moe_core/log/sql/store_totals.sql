-- Purpose:    how much the whole store holds
-- Parameters: none
-- Grain:      one row
-- Columns:    runs, requests, tokens, decisions, batches, flops, flops_dense, bytes (of listed files), first_seen,
--             last_seen (UTC, of requests; NULL in an empty store), problems (batches and manifests left out)
SELECT
    (SELECT count(*) FROM run_rows) AS runs,
    (SELECT coalesce(sum(n_requests), 0)::BIGINT FROM batch_rows) AS requests,
    (SELECT coalesce(sum(tokens), 0)::BIGINT FROM request_sums) AS tokens,
    (SELECT coalesce(sum(n_decisions), 0)::BIGINT FROM batch_rows) AS decisions,
    (SELECT count(*) FROM batch_rows) AS batches,
    (SELECT coalesce(sum(flops), 0)::BIGINT FROM request_sums) AS flops,
    (SELECT coalesce(sum(flops_dense), 0)::BIGINT FROM request_sums) AS flops_dense,
    (SELECT coalesce(sum(size), 0)::BIGINT FROM file_rows) AS bytes,
    (SELECT min(started_at) FROM request_rows) AS first_seen,
    (SELECT max(started_at) FROM request_rows) AS last_seen,
    (SELECT count(*) FROM problem_rows) AS problems
