-- Purpose:    which labels were given
-- Parameters: run_id (NULL = all)
-- Grain:      one row per label (NULL: requests without one)
-- Columns:    label, requests
SELECT label, count(*) AS requests
FROM request_rows
WHERE $run_id IS NULL OR run_id = $run_id
GROUP BY label
ORDER BY label NULLS LAST
