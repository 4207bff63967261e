-- Purpose:    the texts of some requests of a run
-- Parameters: run_id, request_ids (a list)
-- Grain:      one row per request
-- Columns:    request_id, domain, text (NULL where it was erased or not recorded)
SELECT request_id, domain, text
FROM request_rows
WHERE run_id = $run_id AND request_id IN (SELECT unnest($request_ids::VARCHAR[]))
