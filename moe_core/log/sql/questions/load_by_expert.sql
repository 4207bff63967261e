-- Title: How often does each expert of each layer run?
-- One row per expert that was ever on record, layer by layer.
-- Columns: layer; expert_id; executed = times the expert ran for a token; runner_up = times it was the best expert that
-- did not run; share = executed as part of all executions of the layer (six decimals, half upwards: `round` differs
-- between engines).
SELECT
    e.layer,
    e.expert_id,
    e.executed,
    e.runner_up,
    floor(cast(e.executed AS DOUBLE) / nullif(l.executed, 0) * 1000000 + 0.5) / 1000000 AS share
FROM (
    SELECT
        layer,
        expert_id,
        count(CASE WHEN selected THEN 1 END) AS executed,
        count(CASE WHEN NOT selected THEN 1 END) AS runner_up
    FROM decisions
    GROUP BY layer, expert_id
) AS e
JOIN (
    SELECT layer, count(CASE WHEN selected THEN 1 END) AS executed
    FROM decisions
    GROUP BY layer
) AS l ON l.layer = e.layer
ORDER BY e.layer, e.expert_id
