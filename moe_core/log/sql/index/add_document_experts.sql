-- Adds the counts of experts by document of some verified batches to document_expert_sums. new_document_experts:
-- `DocumentSums.experts` of each, with its run_id.
INSERT INTO document_expert_sums
SELECT run_id, domain, half, layer, expert_id, sum(documents), sum(c), sum(cc), sum(cn)
FROM new_document_experts
GROUP BY ALL
