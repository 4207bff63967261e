-- Title: What does each domain cost in expert compute?
-- One row per domain and mode; requests without a domain come last.
-- Columns: domain; mode; requests; tokens; expert_compute = share of the experts that ran, mean over tokens (six
-- decimals, half upwards; 1 is the dense original); mean_latency_ms (three decimals).
SELECT
    domain,
    mode,
    count(*) AS requests,
    cast(sum(n_tokens) AS BIGINT) AS tokens,
    floor(sum(active_fraction * n_tokens) / nullif(sum(n_tokens), 0) * 1000000 + 0.5) / 1000000 AS expert_compute,
    floor(avg(latency_ms) * 1000 + 0.5) / 1000 AS mean_latency_ms
FROM requests
GROUP BY domain, mode
ORDER BY domain NULLS LAST, mode
