-- Purpose:    the newest adaptive answers of one model, to be tried again at another setting
-- Parameters: model_sha256, limit
-- Grain:      one row per different text: its newest answer by the head that answered last of all
-- Columns:    request_id, text, label, head
WITH answers AS (
    SELECT request.request_id, request.text, request.text_hash, request.label, request.started_at,
        coalesce(run.config ->> '$.setting.head', '') AS head
    FROM requests AS request
    JOIN runs AS run USING (run_id)
    WHERE run.model_sha256 = $model_sha256 AND request.mode = 'adaptive'
        AND request.text IS NOT NULL AND request.label IS NOT NULL
),
newest AS (SELECT head FROM answers WHERE head <> '' ORDER BY started_at DESC, request_id LIMIT 1)
SELECT arg_max(request_id, started_at) AS request_id, any_value(text) AS text, arg_max(label, started_at) AS label, head
FROM answers
WHERE head = (SELECT head FROM newest)
GROUP BY text_hash, head
ORDER BY max(started_at) DESC, request_id
LIMIT $limit
