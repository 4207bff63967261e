-- Adds the pairs of experts of one verified batch to pair_sums. $run_id: its run; new_pairs: `pairs_of_segment`.
INSERT INTO pair_sums SELECT $run_id, layer, first, second, n FROM new_pairs
