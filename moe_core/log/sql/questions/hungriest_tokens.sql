-- Title: Which tokens run the most experts?
-- The 20 tokens with the most executions over all layers; of equal ones the first by run, request and position.
-- Columns: run_id; request_id; position; token_id (empty after redaction); executed = experts run over all layers.
SELECT run_id, request_id, position, min(token_id) AS token_id, count(*) AS executed
FROM decisions
WHERE selected
GROUP BY run_id, request_id, position
ORDER BY executed DESC, run_id, request_id, position
LIMIT 20
