-- Purpose:    sums over documents of how many tokens were routed, by domain and half of the documents
-- Parameters: run_id
-- Grain:      one row per (domain, half, layer)
-- Columns:    domain (NULL: requests without one), half, layer, documents, n, nn (sums over documents of n and n^2)
SELECT domain, half, layer, sum(documents)::BIGINT AS documents, sum(n)::BIGINT AS n, sum(nn)::BIGINT AS nn
FROM document_layer_sums
WHERE run_id = $run_id
GROUP BY ALL
ORDER BY ALL
