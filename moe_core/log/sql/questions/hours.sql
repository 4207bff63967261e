-- Title: How many requests and decisions came in each hour?
-- One row per hour (UTC) in which a request started.
-- Columns: day; hour (0 to 23); requests; tokens; decisions = rows of `decisions` that belong to these requests.
SELECT
    cast(r.started_at AS DATE) AS day,
    cast(extract(HOUR FROM r.started_at) AS INTEGER) AS hour,
    count(*) AS requests,
    cast(sum(r.n_tokens) AS BIGINT) AS tokens,
    cast(sum(coalesce(d.decisions, 0)) AS BIGINT) AS decisions
FROM requests AS r
LEFT JOIN (
    SELECT run_id, request_id, count(*) AS decisions
    FROM decisions
    GROUP BY run_id, request_id
) AS d ON d.run_id = r.run_id AND d.request_id = r.request_id
GROUP BY cast(r.started_at AS DATE), extract(HOUR FROM r.started_at)
ORDER BY day, hour
