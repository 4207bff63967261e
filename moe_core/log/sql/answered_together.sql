-- Purpose:    the requests that went through the model in one batch with a request, itself among them
-- Parameters: request_id, run_id
-- Grain:      one row per request, in the order in which they were handed over
-- Columns:    request_id, text (NULL after redaction)
SELECT request_id, text
FROM request_rows
WHERE run_id = $run_id
    AND started_at = (SELECT max(started_at) FROM request_rows WHERE request_id = $request_id AND run_id = $run_id)
ORDER BY length(request_id), request_id
