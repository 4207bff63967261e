-- Purpose:    what was found damaged and therefore left out of every number
-- Parameters: none
-- Grain:      one row per batch or manifest, newest first
-- Columns:    seen_at (UTC), run_id, batch_id (NULL for a manifest), n_decisions (left out), what (a sentence)
SELECT seen_at, run_id, batch_id, n_decisions, what
FROM problem_rows
ORDER BY seen_at DESC, what
