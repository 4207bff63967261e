-- Purpose:    what is missing from some runs: batches left out as damaged, requests kept out by a full queue
-- Parameters: run_ids (a list)
-- Grain:      one row
-- Columns:    left_out_batches, left_out_decisions, unrecorded_requests
SELECT
    (SELECT count(*) FROM problem_rows WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[]))) AS left_out_batches,
    (SELECT coalesce(sum(n_decisions), 0)::BIGINT FROM problem_rows WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[])))
        AS left_out_decisions,
    (SELECT coalesce(sum(n_requests), 0)::BIGINT FROM unrecorded_rows WHERE run_id IN (SELECT unnest($run_ids::VARCHAR[])))
        AS unrecorded_requests
