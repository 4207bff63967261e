-- Purpose:    what the dense original answered to the texts of some runs: same text, same model, same head
-- Parameters: run_ids (a list)
-- Grain:      one row per request with a dense answer
-- Columns:    run_id, request_id, label, dense_label, dense_score (of the first dense answer to that text)
WITH heads AS (
    SELECT run_id, model_sha256, mode, coalesce(config ->> '$.setting.head', '') AS head FROM run_rows
), dense AS (
    SELECT heads.model_sha256, heads.head, request.text_hash, arg_min(request.label, request.started_at) AS label,
        arg_min(request.score, request.started_at) AS score
    FROM request_rows AS request
    JOIN heads USING (run_id)
    WHERE request.mode = 'dense' AND request.label IS NOT NULL AND request.text_hash IS NOT NULL
    GROUP BY ALL
)
SELECT request.run_id, request.request_id, request.label, dense.label AS dense_label, dense.score AS dense_score
FROM request_rows AS request
JOIN heads USING (run_id)
JOIN dense ON dense.model_sha256 = heads.model_sha256 AND dense.head = heads.head AND dense.text_hash = request.text_hash
WHERE request.run_id IN (SELECT unnest($run_ids::VARCHAR[])) AND request.mode <> 'dense' AND request.label IS NOT NULL
ORDER BY request.run_id, request.request_id
