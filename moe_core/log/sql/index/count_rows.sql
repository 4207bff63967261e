-- One row, compared with the manifests on every open; any difference calls for a rebuild.
-- decisions, requests, tokens of the batches, left out or not; then decisions and requests again as the tables hold
-- them; then how far the two rollups of active experts differ (0), and how far the pairs are from k (k - 1) / 2 for
-- every token that ran k experts (0); then how far the sums over documents are from those over tokens (0), in experts
-- and in tokens.
SELECT
    (SELECT coalesce(sum(n_decisions), 0) FROM (FROM batch_rows SELECT n_decisions, n_requests, n_tokens UNION ALL FROM problem_rows SELECT n_decisions, n_requests, n_tokens)),
    (SELECT coalesce(sum(n_requests), 0) FROM (FROM batch_rows SELECT n_decisions, n_requests, n_tokens UNION ALL FROM problem_rows SELECT n_decisions, n_requests, n_tokens)),
    (SELECT coalesce(sum(n_tokens), 0) FROM (FROM batch_rows SELECT n_decisions, n_requests, n_tokens UNION ALL FROM problem_rows SELECT n_decisions, n_requests, n_tokens)),
    (SELECT coalesce(sum(n + n_runner_up), 0) FROM load_sums) + left_out.n_decisions,
    (SELECT count(*) FROM request_rows) + left_out.n_requests,
    (SELECT coalesce(sum(requests), 0) FROM request_sums) + left_out.n_requests,
    (SELECT coalesce(sum(num_active * tokens), 0) FROM active_sums) - (SELECT coalesce(sum(n), 0) FROM load_sums),
    (SELECT coalesce(sum(num_active * (num_active - 1) // 2 * tokens), 0) FROM active_sums) - (SELECT coalesce(sum(n), 0) FROM pair_sums),
    (SELECT coalesce(sum(c), 0) FROM document_expert_sums) - (SELECT coalesce(sum(n), 0) FROM load_sums),
    (SELECT coalesce(sum(n), 0) FROM document_layer_sums) - (SELECT coalesce(sum(tokens), 0) FROM active_sums)
FROM (
    SELECT coalesce(sum(n_decisions), 0) AS n_decisions, coalesce(sum(n_requests), 0) AS n_requests FROM problem_rows
) AS left_out
