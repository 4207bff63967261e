-- Adds the pairs of experts of some verified batches to pair_sums. new_pairs: `BatchSums.pairs` of each, with its run_id.
INSERT INTO pair_sums
SELECT run_id, layer, first, second, sum(n)
FROM new_pairs
GROUP BY ALL
