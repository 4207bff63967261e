-- Adds how many experts the tokens of some verified batches ran to active_sums. new_active: `BatchSums.active` of each,
-- with its run_id.
INSERT INTO active_sums
SELECT run_id, layer, domain, num_active, sum(tokens)
FROM new_active
GROUP BY ALL
