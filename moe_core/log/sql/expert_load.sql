-- Purpose:    how often each expert ran, those that never ran included
-- Parameters: run_id, domain, layer (each NULL = all)
-- Grain:      one row per (layer, expert_id), for every expert that the runs in question have
-- Columns:    layer, expert_id, n (decisions in which it ran), gate_sum, prob_sum, mean_margin (NULL if n = 0 or margins
--             are unknown), floor_n, failover_n, n_runner_up (best of those that did not run)
WITH load AS (
    SELECT layer, expert_id, sum(n) AS n, sum(gate_steps) / 65535 AS gate_sum, sum(prob_steps) / 65535 AS prob_sum,
        sum(margin_steps) / 1024 / nullif(sum(margin_n), 0) AS mean_margin, sum(floor_n) AS floor_n,
        sum(failover_n) AS failover_n, sum(n_runner_up) AS n_runner_up
    FROM load_sums
    WHERE ($run_id IS NULL OR run_id = $run_id) AND ($domain IS NULL OR domain = $domain) AND ($layer IS NULL OR layer = $layer)
    GROUP BY layer, expert_id
), experts AS (
    SELECT DISTINCT layer, unnest(range(n_experts)) AS expert_id
    FROM (SELECT unnest(range(n_layers)) AS layer, n_experts FROM run_rows WHERE $run_id IS NULL OR run_id = $run_id)
    WHERE $layer IS NULL OR layer = $layer
)
SELECT experts.layer, experts.expert_id, coalesce(n, 0)::BIGINT AS n, coalesce(gate_sum, 0) AS gate_sum,
    coalesce(prob_sum, 0) AS prob_sum, mean_margin, coalesce(floor_n, 0)::BIGINT AS floor_n,
    coalesce(failover_n, 0)::BIGINT AS failover_n, coalesce(n_runner_up, 0)::BIGINT AS n_runner_up
FROM experts LEFT JOIN load USING (layer, expert_id)
ORDER BY ALL
