-- Purpose:    the rows of a decisions file in which the rows of a request are scattered, request by request
-- Parameters: path (of the file); COLUMNS in braces stands for the names of those of its columns that are known
-- Grain:      one row per row of the file
-- Columns:    those of the file that are known, then file_row_number (counted from 0, in the order of the file)
SELECT {COLUMNS}, file_row_number
FROM read_parquet($path, file_row_number = true, hive_partitioning = false)
ORDER BY run_id, request_id, file_row_number
