-- Title: Which expert is the busiest of its layer?
-- One row per layer; of equally busy experts the one with the smaller number.
-- Columns: layer; expert_id; executed = times it ran for a token; share = executed as part of all executions of the
-- layer (six decimals, half upwards).
SELECT
    layer,
    expert_id,
    executed,
    floor(cast(executed AS DOUBLE) / executed_in_layer * 1000000 + 0.5) / 1000000 AS share
FROM (
    SELECT
        layer,
        expert_id,
        executed,
        sum(executed) OVER (PARTITION BY layer) AS executed_in_layer,
        row_number() OVER (PARTITION BY layer ORDER BY executed DESC, expert_id) AS place
    FROM (
        SELECT layer, expert_id, count(*) AS executed
        FROM decisions
        WHERE selected
        GROUP BY layer, expert_id
    ) AS load
) AS ranked
WHERE place = 1
ORDER BY layer
