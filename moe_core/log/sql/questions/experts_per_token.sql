-- Title: How many experts does a token run in each layer?
-- One row per layer, over all tokens for which the layer decided something.
-- Columns: layer; tokens; experts_per_token = mean number of experts run (six decimals, half upwards); fewest; most.
SELECT
    layer,
    count(*) AS tokens,
    floor(cast(sum(experts) AS DOUBLE) / count(*) * 1000000 + 0.5) / 1000000 AS experts_per_token,
    min(experts) AS fewest,
    max(experts) AS most
FROM (
    SELECT run_id, request_id, position, layer, count(CASE WHEN selected THEN 1 END) AS experts
    FROM decisions
    GROUP BY run_id, request_id, position, layer
) AS tokens_by_layer
GROUP BY layer
ORDER BY layer
