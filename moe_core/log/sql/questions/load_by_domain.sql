-- Title: Which experts run for which domain?
-- One row per domain, layer and expert that ran there; requests without a domain come last.
-- Columns: domain; layer; expert_id; executed = times the expert ran for a token of the domain.
SELECT r.domain, d.layer, d.expert_id, count(*) AS executed
FROM decisions AS d
JOIN requests AS r ON r.run_id = d.run_id AND r.request_id = d.request_id
WHERE d.selected
GROUP BY r.domain, d.layer, d.expert_id
ORDER BY r.domain NULLS LAST, d.layer, d.expert_id
