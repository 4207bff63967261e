-- Adds the cost of the requests of some batches to request_sums. $batch_ids: their ids.
INSERT INTO request_sums
SELECT run_id, domain, count(*), sum(n_tokens), sum(flops), sum(flops_dense)
FROM request_rows
WHERE batch_id IN (SELECT unnest($batch_ids))
GROUP BY ALL
