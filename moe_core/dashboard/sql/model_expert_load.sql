-- Purpose:    what every expert of one model did, over all its adaptive runs
-- Parameters: model_sha256, domain (NULL = all)
-- Grain:      one row per layer and expert, also for experts that never ran
-- Columns:    layer, expert_id, n (assignments), gate_sum, prob_sum, mean_margin (NULL where n = 0), floor_n
WITH model_runs AS (
    SELECT run_id, n_layers, n_experts FROM runs WHERE model_sha256 = $model_sha256 AND mode = 'adaptive'
),
sums AS (
    SELECT layer, expert_id, sum(n)::BIGINT AS n, sum(gate_sum) AS gate_sum, sum(prob_sum) AS prob_sum,
        sum(margin_sum) / nullif(sum(margin_n), 0) AS mean_margin, sum(floor_n)::BIGINT AS floor_n
    FROM rollup_load
    WHERE run_id IN (SELECT run_id FROM model_runs) AND ($domain IS NULL OR domain = $domain)
    GROUP BY layer, expert_id
)
SELECT grid.layer, grid.expert_id, coalesce(sums.n, 0) AS n, coalesce(sums.gate_sum, 0) AS gate_sum,
    coalesce(sums.prob_sum, 0) AS prob_sum, sums.mean_margin, coalesce(sums.floor_n, 0) AS floor_n
FROM (
    SELECT layer, expert_id
    FROM range((SELECT max(n_layers) FROM model_runs)) AS layers(layer),
        range((SELECT max(n_experts) FROM model_runs)) AS experts(expert_id)
) AS grid
LEFT JOIN sums ON sums.layer = grid.layer AND sums.expert_id = grid.expert_id
ORDER BY grid.layer, grid.expert_id
