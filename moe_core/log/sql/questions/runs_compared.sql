-- Title: How do the runs compare in budget and compute?
-- One row per run, oldest first, also for runs without a request.
-- Columns: run_id; source; mode; budget; requests; active_share = share of the experts that ran, mean over requests;
-- flops_ratio = FLOPs of the encoder against the dense original (both six decimals, half upwards).
SELECT
    runs.run_id,
    runs.source,
    runs.mode,
    runs.budget,
    count(r.request_id) AS requests,
    floor(avg(r.active_fraction) * 1000000 + 0.5) / 1000000 AS active_share,
    floor(cast(sum(r.flops) AS DOUBLE) / nullif(sum(r.flops_dense), 0) * 1000000 + 0.5) / 1000000 AS flops_ratio
FROM runs
LEFT JOIN requests AS r ON r.run_id = runs.run_id
GROUP BY runs.run_id, runs.source, runs.mode, runs.budget, runs.started_at
ORDER BY runs.started_at, runs.run_id
