-- Adds to active_sums how many experts each token of some verified batches ran in each layer.
-- $segments, $requests: their files.
INSERT INTO active_sums
SELECT d.run, d.layer, r.domain, d.num_active, count(*)
FROM (
    SELECT run, request_no, position, layer, (count(*) FILTER (selected))::INTEGER AS num_active
    FROM read_parquet($segments, hive_partitioning = true, hive_types_autocast = false)
    GROUP BY ALL
) AS d
JOIN read_parquet($requests, hive_partitioning = true, hive_types_autocast = false) AS r
    ON r.run = d.run AND r.request_no = d.request_no
GROUP BY ALL
