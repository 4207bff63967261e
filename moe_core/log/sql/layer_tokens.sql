-- Purpose:    how many tokens have decisions in each layer
-- Parameters: run_id (NULL = all), domain (NULL = all)
-- Grain:      one row per layer that has decisions
-- Columns:    layer, tokens
SELECT layer, sum(tokens)::BIGINT AS tokens
FROM active_sums
WHERE ($run_id IS NULL OR run_id = $run_id) AND ($domain IS NULL OR domain = $domain)
GROUP BY layer
ORDER BY layer
