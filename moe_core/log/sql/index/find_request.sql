-- The files of the batch that holds a request: three rows, or none. $request_id; $run_id or NULL: then the newest.
SELECT r.run_id, r.request_no, f.role, f.path, f.size, f.mtime_ns, f.inode
FROM (
    SELECT run_id, request_no, batch_id FROM request_rows
    WHERE request_id = $request_id AND ($run_id IS NULL OR run_id = $run_id)
    ORDER BY started_at DESC LIMIT 1
) AS r
JOIN file_rows AS f USING (batch_id)
