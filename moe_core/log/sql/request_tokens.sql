-- Purpose:    the tokens of one request
-- Parameters: tokens (path of the verified file that holds it), request_no (its number in it)
-- Grain:      one row per token, by position; none after redaction
-- Columns:    position, token_id, is_special
SELECT position, token_id, is_special
FROM read_parquet($tokens, hive_partitioning = false)
WHERE request_no = $request_no
ORDER BY position
