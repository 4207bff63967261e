-- Purpose:    how the load moved between experts from hour to hour
-- Parameters: run_id (NULL = all), domain, layer (NULL = all)
-- Grain:      one row per (hour, layer, expert_id) that ran or was runner-up in that hour
-- Columns:    hour (UTC, start of it), layer, expert_id, n, gate_sum, prob_sum, mean_margin, floor_n, failover_n
SELECT hour, layer, expert_id, sum(n)::BIGINT AS n, sum(gate_steps) / 65535 AS gate_sum,
    sum(prob_steps) / 65535 AS prob_sum, sum(margin_steps) / 1024 / nullif(sum(margin_n), 0) AS mean_margin,
    sum(floor_n)::BIGINT AS floor_n, sum(failover_n)::BIGINT AS failover_n
FROM load_sums
WHERE ($run_id IS NULL OR run_id = $run_id) AND ($domain IS NULL OR domain = $domain) AND ($layer IS NULL OR layer = $layer)
GROUP BY hour, layer, expert_id
ORDER BY hour, layer, expert_id
