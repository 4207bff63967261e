-- Purpose:    how many experts a token runs
-- Parameters: run_id (NULL = all), domain (NULL = all)
-- Grain:      one row per (layer, num_active) that occurs
-- Columns:    layer, num_active (experts that ran for a token), tokens
SELECT layer, num_active, sum(tokens)::BIGINT AS tokens
FROM active_sums
WHERE ($run_id IS NULL OR run_id = $run_id) AND ($domain IS NULL OR domain = $domain)
GROUP BY layer, num_active
ORDER BY layer, num_active
