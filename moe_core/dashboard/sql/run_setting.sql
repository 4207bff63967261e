-- Purpose:    at what setting a run was made, to run one of its requests again
-- Parameters: run_id
-- Grain:      one row, none if the store holds no such run
-- Columns:    run_id, setting (a JSON object as text; NULL where the run did not record one, as imported ones)
SELECT run_id, CAST(config -> '$.setting' AS VARCHAR) AS setting
FROM runs
WHERE run_id = $run_id
