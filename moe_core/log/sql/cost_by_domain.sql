-- Purpose:    what the requests of each domain cost, against dense
-- Parameters: run_id (NULL = all)
-- Grain:      one row per domain (NULL: requests without one)
-- Columns:    domain, requests, tokens, flops, flops_dense, flops_share (flops / flops_dense),
--             active_fraction (mean over tokens)
SELECT domain, count(*) AS requests, sum(n_tokens)::BIGINT AS tokens, sum(flops)::BIGINT AS flops,
    sum(flops_dense)::BIGINT AS flops_dense, sum(flops) / nullif(sum(flops_dense), 0) AS flops_share,
    sum(active_fraction * n_tokens) / sum(n_tokens) FILTER (active_fraction IS NOT NULL) AS active_fraction
FROM request_rows
WHERE $run_id IS NULL OR run_id = $run_id
GROUP BY domain
ORDER BY domain NULLS LAST
