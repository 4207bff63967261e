-- Purpose:    how often adaptive and dense give the same label: the same text, the same model and head in both modes
-- Parameters: model_sha256
-- Grain:      one row per budget
-- Columns:    budget, n (different texts with both answers), same (of these, with equal labels)
-- Left out: second passes of escalation, which only doubtful texts have, and runs at thresholds, which have no budget.
-- A text that was asked several times counts once for each budget and head: with its first label.
WITH answers AS (
    SELECT request.mode, request.budget, request.text_hash, request.label,
        coalesce(run.config ->> '$.setting.head', '') AS head, request.started_at
    FROM requests AS request
    JOIN runs AS run USING (run_id)
    WHERE run.model_sha256 = $model_sha256 AND request.text_hash IS NOT NULL AND request.label IS NOT NULL
        AND (run.config ->> '$.escalates') IS NULL
),
dense AS (
    SELECT text_hash, head, arg_min(label, started_at) AS label FROM answers WHERE mode = 'dense' GROUP BY text_hash, head
),
adaptive AS (
    SELECT budget, text_hash, head, arg_min(label, started_at) AS label
    FROM answers WHERE mode = 'adaptive' AND budget IS NOT NULL GROUP BY budget, text_hash, head
)
SELECT adaptive.budget, count(*) AS n, count(*) FILTER (adaptive.label = dense.label) AS same
FROM adaptive
JOIN dense USING (text_hash, head)
GROUP BY adaptive.budget
ORDER BY adaptive.budget DESC
