-- Purpose:    how many experts tokens ran, over all adaptive runs of one model
-- Parameters: model_sha256, domain (NULL = all)
-- Grain:      one row per layer and number of experts
-- Columns:    layer, num_active, tokens
SELECT layer, num_active, sum(tokens)::BIGINT AS tokens
FROM rollup_active
WHERE run_id IN (SELECT run_id FROM runs WHERE model_sha256 = $model_sha256 AND mode = 'adaptive')
    AND ($domain IS NULL OR domain = $domain)
GROUP BY layer, num_active
ORDER BY layer, num_active
