-- Adds the cost of the requests of some verified batches to request_sums. new_requests: as for add_requests.
INSERT INTO request_sums
SELECT run_id, domain, count(*), sum(n_tokens), sum(flops), sum(flops_dense)
FROM new_requests
GROUP BY ALL
