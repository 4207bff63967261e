-- Purpose:    the requests of some batches of a run
-- Parameters: run_id, batch_ids (a list)
-- Grain:      one row per request, by number
-- Columns:    request_no, request_id, domain
SELECT request_no, request_id, domain
FROM request_rows
WHERE run_id = $run_id AND batch_id IN (SELECT unnest($batch_ids::VARCHAR[]))
ORDER BY request_no
