"""What `infer` prints: the JSON document of its answers, and the table for people."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_core.cli.output import table
from moe_core.cli.run_options import RunPlan

if TYPE_CHECKING:
    from moe_core.log.unrecorded import Unrecorded
    from moe_core.model.escalation import EscalatedAnswer
    from moe_core.records import RunRecord


def infer_document(
    run: "RunRecord", escalation_run_id: str | None, plan: RunPlan, answers: "Sequence[EscalatedAnswer]",
    wall_ms: float, store: Path | None, unrecorded: "Unrecorded",
) -> dict[str, Any]:  # fmt: skip
    """The JSON document: one entry a request, in their order, and totals. Costs count both passes."""
    n_tokens = sum(a.first.n_tokens for a in answers)
    requests = [
        {
            "request_id": a.first.request_id, "label": a.final.label, "score": a.final.score,
            "n_tokens": a.first.n_tokens, "active_fraction": a.active_fraction, "flops": a.flops,
            "flops_dense": a.flops_dense, "latency_ms": a.latency_ms, "decisions": a.n_decisions,
            "escalated": a.escalated, "first_label": a.first.label, "first_score": a.first.score,
            "escalation_request_id": a.final.request_id if a.escalated else None,
        }
        for a in answers
    ]  # fmt: skip
    totals = {
        "requests": len(answers),
        "n_tokens": n_tokens,
        "decisions": sum(a.n_decisions for a in answers),
        "active_fraction": sum(a.active_fraction * a.first.n_tokens for a in answers) / n_tokens,
        "flops": sum(a.flops for a in answers),
        "flops_dense": sum(a.flops_dense for a in answers),
        "wall_ms": wall_ms,
        "logged": store is not None,
        "store": None if store is None else str(store),
        "unrecorded": asdict(unrecorded),
        "escalated": sum(a.escalated for a in answers),
        "escalation_run_id": escalation_run_id,
    }
    return {"run_id": run.run_id, "mode": run.mode, "budget": run.budget, "model": run.model,
            "requests": requests, "totals": totals,
            "budget_choice": None if plan.choice is None else asdict(plan.choice)}  # fmt: skip


def infer_lines(document: dict[str, Any]) -> list[str]:
    """The same for people: the first 20 requests and a sentence."""
    totals = document["totals"]
    rows = [
        (r["request_id"], r["label"] or "-", "-" if r["score"] is None else f"{r['score']:.3f}", r["n_tokens"],
         f"{r['active_fraction']:.2f}", f"{r['flops'] / r['flops_dense']:.0%}", f"{r['latency_ms']:.1f}")
        for r in document["requests"][:20]
    ]  # fmt: skip
    head = ("request", "label", "score", "tokens", "experts used", "FLOPs vs dense", "ms")
    more = totals["requests"] - len(rows)
    lacking = totals["unrecorded"]
    recorded = totals["decisions"] - lacking["decisions"]
    kept = f"{recorded:,} decisions in {totals['store']}" if totals["logged"] else "nothing logged"
    if lacking["requests"]:
        kept += f"; {lacking['requests']:,} requests are not recorded, since the queue of the log was full"
    share = totals["flops"] / totals["flops_dense"]
    again = f"{totals['escalated']} run again ({totals['escalation_run_id']}), " if totals["escalated"] else ""
    return [
        *table(head, rows),
        *([f"... and {more} more (use --json for all)"] if more else []),
        f"{totals['requests']} requests, {again}{share:.0%} of the dense original's FLOPs; {kept}",
    ]
