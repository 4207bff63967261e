"""Everything that an index holds, in an order of its own, to compare two of them."""

from pathlib import Path

from moe_core.log.index import Index

ROOT = Path(__file__).resolve().parents[3]

TABLES = {
    "runs": "*",
    "requests": "*",
    "tokens": "*",
    "decisions": "*",
    "rollup_load": "run_id, hour, layer, expert_id, domain, sum(n), sum(gate_sum), sum(prob_sum), sum(margin_sum), "
    "sum(margin_n), sum(floor_n), sum(failover_n), sum(dropped_n), sum(n_runner_up)",
    "rollup_active": "run_id, layer, domain, num_active, sum(tokens)",
    "rollup_pairs": "run_id, layer, first, second, sum(n)",
    "rollup_requests": "run_id, domain, sum(requests), sum(tokens), sum(flops), sum(flops_dense)",
    "document_expert_sums": "run_id, domain, half, layer, expert_id, sum(documents), sum(c), sum(cc), sum(cn)",
    "document_layer_sums": "run_id, domain, half, layer, sum(documents), sum(n), sum(nn)",
    "run_end_rows": "*",
    "unrecorded_rows": "*",
    "batch_rows": "*",
    "file_rows": "*",
}


def contents(index: Index) -> dict[str, list[str]]:
    """Every table of the index as sorted rows."""
    found = {}
    for table, columns in TABLES.items():
        grouped = "GROUP BY ALL" if "sum(" in columns else ""
        frame = index.frame(f"SELECT {columns} FROM {table} {grouped}")
        found[table] = sorted(str(row) for row in frame.itertuples(index=False))
    return found
