-- Title: What were the closest calls of each layer?
-- One row per layer: the executed expert whose margin was the smallest above zero. A little less, and it had not run.
-- Columns: layer; margin = score minus threshold; run_id; request_id; position; expert_id of that decision; of equal
-- margins the first by run, request, position and expert.
SELECT layer, margin, run_id, request_id, position, expert_id
FROM (
    SELECT
        layer,
        margin,
        run_id,
        request_id,
        position,
        expert_id,
        row_number() OVER (PARTITION BY layer ORDER BY margin, run_id, request_id, position, expert_id) AS place
    FROM decisions
    WHERE selected AND margin > 0
) AS ranked
WHERE place = 1
ORDER BY layer
