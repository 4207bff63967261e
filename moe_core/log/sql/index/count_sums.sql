-- How many rows the rollups have, which tells when to fold them.
SELECT (SELECT count(*) FROM load_sums) + (SELECT count(*) FROM active_sums) + (SELECT count(*) FROM pair_sums)
    + (SELECT count(*) FROM document_expert_sums) + (SELECT count(*) FROM document_layer_sums)
