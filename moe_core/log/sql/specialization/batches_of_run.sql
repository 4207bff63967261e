-- Purpose:    the batches of a run with their files, from which a sample is taken
-- Parameters: run_id
-- Grain:      one row per batch with decisions, in the order of their requests
-- Columns:    batch_id, n_decisions, decisions_path, decisions_sha256, decisions_size, tokens_path, tokens_sha256,
--             tokens_size
SELECT batch.batch_id, batch.n_decisions, decisions.path AS decisions_path, decisions.sha256 AS decisions_sha256,
    decisions.size AS decisions_size, tokens.path AS tokens_path, tokens.sha256 AS tokens_sha256,
    tokens.size AS tokens_size
FROM batch_rows AS batch
JOIN file_rows AS decisions ON decisions.batch_id = batch.batch_id AND decisions.role = 'decisions'
JOIN file_rows AS tokens ON tokens.batch_id = batch.batch_id AND tokens.role = 'tokens'
WHERE batch.run_id = $run_id AND batch.n_decisions > 0
ORDER BY batch.day, batch.batch_id
