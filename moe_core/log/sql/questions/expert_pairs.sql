-- Title: Which experts of the first layer run together?
-- One row per pair of experts of layer 0 that ran for the same token; change the number for another layer.
-- Columns: expert_a; expert_b (larger number); tokens = tokens for which both ran.
SELECT a.expert_id AS expert_a, b.expert_id AS expert_b, count(*) AS tokens
FROM decisions AS a
JOIN decisions AS b
    ON b.run_id = a.run_id AND b.request_id = a.request_id AND b.position = a.position AND b.layer = a.layer
WHERE a.layer = 0 AND a.selected AND b.selected AND a.expert_id < b.expert_id
GROUP BY a.expert_id, b.expert_id
ORDER BY tokens DESC, expert_a, expert_b
