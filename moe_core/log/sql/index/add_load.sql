-- Adds the decisions of some verified batches to load_sums. $segments, $requests: their files.
-- Flags: 1 floor, 2 failover, 4 dropped (moe_core.records.DecisionFlag).
INSERT INTO load_sums
SELECT d.run, date_trunc('hour', r.started_at), d.layer, d.expert_id, r.domain,
    count(*) FILTER (d.selected),
    sum(d.gate_weight::BIGINT) FILTER (d.selected),
    sum(d.prob::BIGINT) FILTER (d.selected),
    sum(d.margin::BIGINT) FILTER (d.selected),
    count(d.margin) FILTER (d.selected),
    count(*) FILTER (d.selected AND d.flags & 1 <> 0),
    count(*) FILTER (d.selected AND d.flags & 2 <> 0),
    count(*) FILTER (d.selected AND d.flags & 4 <> 0),
    count(*) FILTER (NOT d.selected)
FROM read_parquet($segments, hive_partitioning = true, hive_types_autocast = false) AS d
JOIN read_parquet($requests, hive_partitioning = true, hive_types_autocast = false) AS r
    ON r.run = d.run AND r.request_no = d.request_no
GROUP BY ALL
