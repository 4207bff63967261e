-- Purpose:    one page of the requests that fit, newest first, and how many fit
-- Parameters: run_id, label, domain (NULL = all), search (NULL = all; taken literally, upper and lower case alike,
--             found in the text), limit, offset
-- Grain:      one row per request; beyond the last page: none
-- Columns:    those of `requests`, then total (requests that fit, the same in every row)
SELECT run_id, request_id, started_at, latency_ms, n_tokens, domain, attributes, text, text_hash, label, score,
    reference_label, active_fraction, flops, flops_dense, budget, mode, actor, count(*) OVER () AS total
FROM request_rows
WHERE ($run_id IS NULL OR run_id = $run_id) AND ($label IS NULL OR label = $label)
    AND ($domain IS NULL OR domain = $domain) AND ($search IS NULL OR contains(lower(text), lower($search)))
ORDER BY started_at DESC, run_id, request_no DESC
LIMIT $limit OFFSET $offset
