-- What `views.sql` stands on, in the empty database of the SQL console. REQUESTS in braces stands for read_parquet(...).
CREATE TABLE runs (
    run_id VARCHAR, started_at TIMESTAMP, source VARCHAR, model VARCHAR, model_sha256 VARCHAR, n_layers INTEGER,
    n_experts INTEGER, mode VARCHAR, budget DOUBLE, config JSON, software JSON, quality_card JSON
);

CREATE VIEW request_rows AS
SELECT run AS run_id, request_no, request_id, started_at, latency_ms, n_tokens, domain, attributes, text, text_hash, label,
    score, reference_label, active_fraction, flops, flops_dense, budget, mode, actor
FROM {REQUESTS};

CREATE VIEW requests AS
SELECT run_id, request_id, started_at, latency_ms, n_tokens, domain, attributes, text, text_hash, label, score,
    reference_label, active_fraction, flops, flops_dense, budget, mode, actor
FROM request_rows;
