-- Lists some verified batches in batch_rows. Each parameter is a list with one value per batch.
INSERT INTO batch_rows
SELECT unnest($batch_id), unnest($run_id), unnest($day)::DATE, unnest($committed_at), unnest($decisions), unnest($requests),
    unnest($tokens)
