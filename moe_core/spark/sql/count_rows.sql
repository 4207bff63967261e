-- How many rows the relations show: one row, compared with what the manifests list.
SELECT
    (SELECT count(*) FROM runs) AS runs,
    (SELECT count(*) FROM requests) AS requests,
    (SELECT count(*) FROM tokens) AS tokens,
    (SELECT count(*) FROM decisions) AS decisions
