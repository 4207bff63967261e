-- Adds the tokens by document of some verified batches to document_layer_sums. new_document_layers:
-- `DocumentSums.layers` of each, with its run_id.
INSERT INTO document_layer_sums
SELECT run_id, domain, half, layer, sum(documents), sum(n), sum(nn)
FROM new_document_layers
GROUP BY ALL
