-- Adds decisions of some verified batches to load_sums. new_load: `BatchSums.load` of each, with its run_id.
INSERT INTO load_sums
SELECT run_id, hour, layer, expert_id, domain, sum(n), sum(gate_steps), sum(prob_steps), sum(margin_steps),
    sum(margin_n), sum(floor_n), sum(failover_n), sum(dropped_n), sum(n_runner_up)
FROM new_load
GROUP BY ALL
