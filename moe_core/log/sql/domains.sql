-- Purpose:    which domains there are
-- Parameters: run_id (NULL = all)
-- Grain:      one row per domain (NULL: requests without one)
-- Columns:    domain, requests, tokens
SELECT domain, sum(requests)::BIGINT AS requests, sum(tokens)::BIGINT AS tokens
FROM request_sums
WHERE $run_id IS NULL OR run_id = $run_id
GROUP BY domain
ORDER BY domain NULLS LAST
