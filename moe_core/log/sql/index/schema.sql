-- The index: a cache of what the manifests list. Everything here can be rebuilt from the store.
-- Sums are kept as integers (steps of 1/1,024 and 1/65,535), so that the order of adding cannot change them.

CREATE TABLE index_meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL);

-- How far each manifest was read: the place after the last line that was applied.
CREATE TABLE manifest_positions (writer_id VARCHAR NOT NULL, byte_offset BIGINT NOT NULL, seq BIGINT NOT NULL, prev VARCHAR NOT NULL);

CREATE TABLE batch_rows (
    batch_id VARCHAR NOT NULL, run_id VARCHAR NOT NULL, day DATE NOT NULL, committed_at TIMESTAMP NOT NULL,
    n_decisions BIGINT NOT NULL, n_requests BIGINT NOT NULL, n_tokens BIGINT NOT NULL
);

-- Files of the batches above: their sha256 was right when size, mtime and inode were these.
CREATE TABLE file_rows (
    batch_id VARCHAR NOT NULL, role VARCHAR NOT NULL, path VARCHAR NOT NULL, sha256 VARCHAR NOT NULL,
    size BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, inode UBIGINT NOT NULL
);

-- What was left out, and why. One row per batch or manifest.
CREATE TABLE problem_rows (
    seen_at TIMESTAMP NOT NULL, writer_id VARCHAR NOT NULL, run_id VARCHAR, batch_id VARCHAR,
    n_decisions BIGINT NOT NULL, n_requests BIGINT NOT NULL, n_tokens BIGINT NOT NULL, what VARCHAR NOT NULL
);

CREATE TABLE run_rows (
    run_id VARCHAR NOT NULL, started_at TIMESTAMP NOT NULL, source VARCHAR NOT NULL, model VARCHAR NOT NULL,
    model_sha256 VARCHAR NOT NULL, n_layers INTEGER NOT NULL, n_experts INTEGER NOT NULL, mode VARCHAR NOT NULL,
    budget DOUBLE, config JSON, software JSON, quality_card JSON, writer_id VARCHAR NOT NULL
);

CREATE TABLE run_end_rows (run_id VARCHAR NOT NULL, ended_at TIMESTAMP NOT NULL, n_batches BIGINT NOT NULL, n_requests BIGINT NOT NULL, n_tokens BIGINT NOT NULL, n_decisions BIGINT NOT NULL);

-- What a full queue kept out of the log: in no other table, and in no sum.
CREATE TABLE unrecorded_rows (run_id VARCHAR NOT NULL, noted_at TIMESTAMP NOT NULL, n_requests BIGINT NOT NULL, n_tokens BIGINT NOT NULL, n_decisions BIGINT NOT NULL);

CREATE TABLE event_rows (recorded_at TIMESTAMP NOT NULL, actor VARCHAR, what VARCHAR NOT NULL, old JSON, new JSON, writer_id VARCHAR NOT NULL, seq BIGINT NOT NULL);

CREATE TABLE request_rows (
    run_id VARCHAR NOT NULL, request_no UINTEGER NOT NULL, batch_id VARCHAR NOT NULL, request_id VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL, latency_ms DOUBLE, n_tokens INTEGER NOT NULL, domain VARCHAR,
    attributes MAP(VARCHAR, VARCHAR), text VARCHAR, text_hash VARCHAR, label VARCHAR, score DOUBLE,
    reference_label VARCHAR, active_fraction DOUBLE, flops BIGINT NOT NULL, flops_dense BIGINT NOT NULL,
    budget DOUBLE, mode VARCHAR NOT NULL, actor VARCHAR
);

CREATE TABLE load_sums (
    run_id VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, layer INTEGER NOT NULL, expert_id INTEGER NOT NULL, domain VARCHAR,
    n BIGINT NOT NULL, gate_steps BIGINT, prob_steps BIGINT, margin_steps BIGINT, margin_n BIGINT NOT NULL,
    floor_n BIGINT NOT NULL, failover_n BIGINT NOT NULL, dropped_n BIGINT NOT NULL, n_runner_up BIGINT NOT NULL
);

CREATE TABLE active_sums (run_id VARCHAR NOT NULL, layer INTEGER NOT NULL, domain VARCHAR, num_active INTEGER NOT NULL, tokens BIGINT NOT NULL);

-- For how many tokens two experts (first < second) of a layer ran together.
CREATE TABLE pair_sums (run_id VARCHAR NOT NULL, layer INTEGER NOT NULL, first INTEGER NOT NULL, second INTEGER NOT NULL, n BIGINT NOT NULL);

CREATE TABLE request_sums (run_id VARCHAR NOT NULL, domain VARCHAR, requests BIGINT NOT NULL, tokens BIGINT NOT NULL, flops BIGINT NOT NULL, flops_dense BIGINT NOT NULL);

-- Sums over documents (requests): of a domain's documents in one half (log/halves.py), c = tokens for which the expert ran,
-- n = tokens routed in the layer. `documents` counts those with c > 0, or n > 0.
CREATE TABLE document_expert_sums (
    run_id VARCHAR NOT NULL, domain VARCHAR, half INTEGER NOT NULL, layer INTEGER NOT NULL, expert_id INTEGER NOT NULL,
    documents BIGINT NOT NULL, c BIGINT NOT NULL, cc BIGINT NOT NULL, cn BIGINT NOT NULL
);

CREATE TABLE document_layer_sums (
    run_id VARCHAR NOT NULL, domain VARCHAR, half INTEGER NOT NULL, layer INTEGER NOT NULL, documents BIGINT NOT NULL,
    n BIGINT NOT NULL, nn BIGINT NOT NULL
);

CREATE VIEW runs AS
SELECT run_id, started_at, source, model, model_sha256, n_layers, n_experts, mode, budget, config, software, quality_card
FROM run_rows;

CREATE VIEW requests AS
SELECT run_id, request_id, started_at, latency_ms, n_tokens, domain, attributes, text, text_hash, label, score,
    reference_label, active_fraction, flops, flops_dense, budget, mode, actor
FROM request_rows;

-- One row per (run_id, hour, layer, expert_id, domain) in the end, and a few more until they are compacted: always sum.
CREATE VIEW rollup_load AS
SELECT run_id, hour, layer, expert_id, domain, n, gate_steps / 65535 AS gate_sum, prob_steps / 65535 AS prob_sum,
    margin_steps / 1024 AS margin_sum, margin_n, floor_n, failover_n, dropped_n, n_runner_up
FROM load_sums;

CREATE VIEW rollup_active AS SELECT run_id, layer, domain, num_active, tokens FROM active_sums;

CREATE VIEW rollup_pairs AS SELECT run_id, layer, first, second, n FROM pair_sums;

CREATE VIEW rollup_requests AS SELECT run_id, domain, requests, tokens, flops, flops_dense FROM request_sums;
