-- Folds the rows that single batches added to the rollups into one row per key.
CREATE OR REPLACE TEMP TABLE compacted AS
SELECT run_id, hour, layer, expert_id, domain, sum(n), sum(gate_steps), sum(prob_steps), sum(margin_steps), sum(margin_n),
    sum(floor_n), sum(failover_n), sum(dropped_n), sum(n_runner_up)
FROM load_sums GROUP BY run_id, hour, layer, expert_id, domain ORDER BY run_id, hour, layer, expert_id, domain;
DELETE FROM load_sums;
INSERT INTO load_sums SELECT * FROM compacted;
CREATE OR REPLACE TEMP TABLE compacted AS
SELECT run_id, layer, domain, num_active, sum(tokens) FROM active_sums GROUP BY ALL ORDER BY run_id, layer, domain, num_active;
DELETE FROM active_sums;
INSERT INTO active_sums SELECT * FROM compacted;
CREATE OR REPLACE TEMP TABLE compacted AS
SELECT run_id, layer, first, second, sum(n) FROM pair_sums GROUP BY ALL ORDER BY run_id, layer, first, second;
DELETE FROM pair_sums;
INSERT INTO pair_sums SELECT * FROM compacted;
CREATE OR REPLACE TEMP TABLE compacted AS
SELECT run_id, domain, sum(requests), sum(tokens), sum(flops), sum(flops_dense) FROM request_sums GROUP BY ALL ORDER BY run_id, domain;
DELETE FROM request_sums;
INSERT INTO request_sums SELECT * FROM compacted;
CREATE OR REPLACE TEMP TABLE compacted AS
SELECT run_id, domain, half, layer, expert_id, sum(documents), sum(c), sum(cc), sum(cn)
FROM document_expert_sums GROUP BY ALL ORDER BY run_id, layer, expert_id, domain, half;
DELETE FROM document_expert_sums;
INSERT INTO document_expert_sums SELECT * FROM compacted;
CREATE OR REPLACE TEMP TABLE compacted AS
SELECT run_id, domain, half, layer, sum(documents), sum(n), sum(nn) FROM document_layer_sums GROUP BY ALL ORDER BY run_id, layer, domain, half;
DELETE FROM document_layer_sums;
INSERT INTO document_layer_sums SELECT * FROM compacted;
DROP TABLE compacted;
