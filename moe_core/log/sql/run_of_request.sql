-- Purpose:    how the request was run: enough to run it again
-- Parameters: request_id, run_id (NULL = the newest of that id)
-- Grain:      one row, or none
-- Columns:    run_id, source, model, model_sha256, n_layers, n_experts, mode, config, software (JSON texts), text (NULL
--             after redaction or if it was not recorded), text_hash (NULL: there was no text), started_at
SELECT run.run_id, run.source, run.model, run.model_sha256, run.n_layers, run.n_experts, run.mode,
    run.config::VARCHAR AS config, run.software::VARCHAR AS software, request.text, request.text_hash, request.started_at
FROM request_rows AS request
JOIN run_rows AS run USING (run_id)
WHERE request.request_id = $request_id AND ($run_id IS NULL OR request.run_id = $run_id)
ORDER BY request.started_at DESC
LIMIT 1
