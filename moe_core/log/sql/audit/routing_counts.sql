-- Purpose:    how often each request used each expert
-- Parameters: run_ids (a list)
-- Grain:      one row per (run_id, request_id, layer, expert_id) that stands in a decision, executed or not
-- Columns:    run_id, request_id, layer, expert_id, n (tokens that ran it; experts that always run are left out),
--             n_first (tokens for which it has rank 0: added up over the experts, the tokens routed in the layer)
SELECT run_id, request_id, layer, expert_id, count(*) FILTER (selected AND flags & 8 = 0) AS n,
    count(*) FILTER (rank = 0) AS n_first
FROM decisions
WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[]))
GROUP BY ALL
