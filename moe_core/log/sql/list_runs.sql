-- Purpose:    every run, newest first, with what it did and what it cost
-- Parameters: none
-- Grain:      one row per run
-- Columns:    run_id, started_at (UTC), source, model, model_sha256, n_layers, n_experts, mode, budget, n_requests,
--             n_tokens, n_decisions, active_fraction (mean over tokens), flops, flops_dense, latency_p50_ms,
--             latency_p95_ms, latency_p99_ms (NULL without requests), last_seen (UTC: start of its last request),
--             ended_at (UTC; NULL while it is recorded or if its writer was killed), has_errors (a batch, or
--             the rest of its manifest, was left out as damaged), unrecorded_requests, unrecorded_decisions (what a
--             full queue kept out of the log; 0 for a complete run), escalates (run_id of the run whose doubtful
--             requests it ran again; NULL for an ordinary run)
SELECT
    run.run_id, run.started_at, run.source, run.model, run.model_sha256, run.n_layers, run.n_experts, run.mode, run.budget,
    coalesce(request.n_requests, 0) AS n_requests,
    coalesce(request.n_tokens, 0) AS n_tokens,
    coalesce(batch.n_decisions, 0) AS n_decisions,
    request.active_fraction,
    coalesce(request.flops, 0) AS flops,
    coalesce(request.flops_dense, 0) AS flops_dense,
    request.latency[1] AS latency_p50_ms, request.latency[2] AS latency_p95_ms, request.latency[3] AS latency_p99_ms,
    coalesce(request.last_seen, run.started_at) AS last_seen,
    run_end.ended_at,
    EXISTS (
        FROM problem_rows AS problem
        WHERE problem.run_id = run.run_id OR (problem.batch_id IS NULL AND problem.writer_id = run.writer_id)
    ) AS has_errors,
    coalesce(lacking.requests, 0) AS unrecorded_requests,
    coalesce(lacking.decisions, 0) AS unrecorded_decisions,
    run.config ->> '$.escalates' AS escalates
FROM run_rows AS run
LEFT JOIN (
    SELECT run_id, count(*) AS n_requests, sum(n_tokens)::BIGINT AS n_tokens,
        sum(active_fraction * n_tokens) / sum(n_tokens) FILTER (active_fraction IS NOT NULL) AS active_fraction,
        sum(flops)::BIGINT AS flops, sum(flops_dense)::BIGINT AS flops_dense,
        quantile_cont(latency_ms, [0.5, 0.95, 0.99]) AS latency, max(started_at) AS last_seen
    FROM request_rows GROUP BY run_id
) AS request USING (run_id)
LEFT JOIN (SELECT run_id, sum(n_decisions)::BIGINT AS n_decisions FROM batch_rows GROUP BY run_id) AS batch USING (run_id)
LEFT JOIN (SELECT run_id, max(ended_at) AS ended_at FROM run_end_rows GROUP BY run_id) AS run_end USING (run_id)
LEFT JOIN (
    SELECT run_id, sum(n_requests)::BIGINT AS requests, sum(n_decisions)::BIGINT AS decisions
    FROM unrecorded_rows GROUP BY run_id
) AS lacking USING (run_id)
ORDER BY run.started_at DESC, run.run_id
