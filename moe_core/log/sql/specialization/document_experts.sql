-- Purpose:    sums over documents of how often an expert ran, by domain and half of the documents
-- Parameters: run_id
-- Grain:      one row per (domain, half, layer, expert_id) that ran
-- Columns:    domain (NULL: requests without one), half (0 or 1, log/halves.py), layer, expert_id, documents (in which it
--             ran), c, cc, cn (sums over documents of c, c^2, c n; c = tokens for which it ran, n = tokens routed)
SELECT domain, half, layer, expert_id, sum(documents)::BIGINT AS documents, sum(c)::BIGINT AS c, sum(cc)::BIGINT AS cc,
    sum(cn)::BIGINT AS cn
FROM document_expert_sums
WHERE run_id = $run_id
GROUP BY ALL
ORDER BY ALL
