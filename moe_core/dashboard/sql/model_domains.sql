-- Purpose:    what each domain cost in the adaptive runs of one model, against dense
-- Parameters: model_sha256
-- Grain:      one row per domain (NULL: requests without one)
-- Columns:    domain, requests, tokens, expert_compute (share of the dense experts, mean over tokens), flops_share
SELECT domain, count(*) AS requests, sum(n_tokens)::BIGINT AS tokens,
    sum(active_fraction * n_tokens) / nullif(sum(n_tokens), 0) AS expert_compute,
    sum(flops) / nullif(sum(flops_dense), 0) AS flops_share
FROM requests
WHERE mode = 'adaptive' AND run_id IN (SELECT run_id FROM runs WHERE model_sha256 = $model_sha256)
GROUP BY domain
ORDER BY domain NULLS LAST
