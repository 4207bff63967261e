-- Purpose:    how common the tokens of each request are among all tokens of these runs
-- Parameters: run_ids (a list)
-- Grain:      one row per request of which tokens are known (none after redaction)
-- Columns:    run_id, request_id, median_log_count (log10 of how often the token occurs in these runs, median over the
--             tokens of the request), rare_log_count (the same, lowest tenth), n_known (tokens); special tokens left out
WITH known AS (
    SELECT run_id, request_id, token_id FROM tokens
    WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[])) AND NOT is_special AND token_id IS NOT NULL
), counted AS (
    SELECT token_id, log10(count(*)) AS log_count FROM known GROUP BY token_id
)
SELECT run_id, request_id, median(log_count) AS median_log_count, quantile_cont(log_count, 0.1) AS rare_log_count,
    count(*) AS n_known
FROM known JOIN counted USING (token_id)
GROUP BY run_id, request_id
ORDER BY run_id, request_id
