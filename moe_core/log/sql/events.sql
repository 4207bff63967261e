-- Purpose:    who changed what, newest first
-- Parameters: limit
-- Grain:      one row per event
-- Columns:    recorded_at (UTC), actor, what, old, new (JSON texts)
SELECT recorded_at, actor, what, old, new
FROM event_rows
ORDER BY recorded_at DESC, writer_id, seq DESC
LIMIT $limit
