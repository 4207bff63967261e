"""A bench document as a table for the terminal and as docs/benchmarks.md."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    ("variant", "variant"), ("regime", "regime"), ("threads", "threads"), ("wall p50", "ratio_wall_p50"),
    ("wall p99", "ratio_wall_p99"), ("FLOPs", "ratio_flops_encoder"), ("expert FLOPs", "ratio_flops_expert"),
    ("executed", "ratio_flops_executed"), ("experts used", "active_fraction"), ("points", "quality_delta_points"),
    ("p50 ms", "wall_p50_ms"), ("p95 ms", "wall_p95_ms"), ("p99 ms", "wall_p99_ms"), ("tokens/s", "tokens_per_s"),
)  # fmt: skip
HOW_TO_READ = """\
- **wall p50, wall p99**: the variant's median (99th percentile) time divided by that of `dense`, measured in the same
  run, one behind the other in random order. Below 1 is faster than the dense original.
- **`dense-aa`** is the dense original a second time. Its true ratio is 1: how far it strays is what the machine's noise
  does to every other row. A ratio of the same size as that is no difference.
- **FLOPs**: products that the routing asked for, with routers and attention, divided by those of the dense original;
  **expert FLOPs**: routers and experts alone, divided by the dense feed-forward blocks; **executed**: products that
  really ran. For one short text all experts are multiplied and weighted, since leaving some out takes longer; so there
  `executed` is near 1 although fewer were asked for, and time is not saved there.
- **points**: accuracy minus that of the dense original, in points, with its source below the table.
- Regimes: `one` = one text of 8 to 30 tokens, `one-long` = one of 80 to 120, `batch32` and `batch256` = that many
  texts. They are the bundled demo requests. Tokenizing and the head are not timed: they cost the same everywhere.
- `topk`, `randomk`, `topp` and `threshold` run on the shipped weights, which were not trained for these rules: their
  times and FLOPs are comparable, their quality is not what a model trained for the rule would reach.
- `bf16` rows are measured against fp32 `dense`; the second table gives them against `dense-bf16`.
"""


def cells(row: Mapping[str, Any]) -> list[str]:
    """One table row as text."""
    return [_cell(key, row[key]) for _, key in COLUMNS]


def headings() -> list[str]:
    return [heading for heading, _ in COLUMNS]


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "quality_delta_points":
        return f"{value:+.2f}"
    if key == "tokens_per_s":
        return f"{value:,.0f}"
    if key.endswith("_ms"):
        return f"{value:.1f}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def notes(document: Mapping[str, Any]) -> list[str]:
    """What must stand beside the figures: machine, load, noise, where dense is faster, sources."""
    where, load, rows = document["machine"], document["load_average"], document["rows"]
    lines = [
        f"{where['cpu']}, {where['cores']} cores, {where['instructions']}, torch {where['torch']}, "
        f"Python {where['python']}; load average {load['start']} at the start, {load['end']} at the end",
        f"Model {document['model']} ({document['model_sha256'][:12]}); {document['made']}; "
        f"{document['seconds']:.0f} s; peak memory {document['peak_rss_mb']:.0f} MB",
        f"Energy {document['energy']}",
    ]
    floor = [abs(row["ratio_wall_p50"] - 1) for row in rows if row["variant"] == "dense-aa"]
    if floor:
        lines.append(f"Noise floor: a second dense model differs by up to {max(floor):.1%} in the median")
    slower = slower_than_dense(rows)
    lines += [f"Dense is faster: {line}" for line in slower] or ["Dense is nowhere faster than adaptive routing here"]
    lines += [f"Quality of {names}: {source}" for source, names in _sources(rows)]
    return lines


def slower_than_dense(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where adaptive routing takes longer than the dense original, beyond the noise floor of its regime."""
    found = []
    for row in rows:
        if row["variant"].startswith("adaptive@"):
            floor = [abs(other["ratio_wall_p50"] - 1) for other in rows
                     if (other["variant"], other["regime"], other["threads"])
                     == ("dense-aa", row["regime"], row["threads"])]  # fmt: skip
            if row["ratio_wall_p50"] > 1 + max(floor, default=0.0):
                found.append(f"{row['variant']} takes {row['ratio_wall_p50']:.2f} of its time in {row['regime']} "
                             f"with {row['threads']} thread{'s' if row['threads'] > 1 else ''}")  # fmt: skip
    return found


def _sources(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    by_source: dict[str, dict[str, None]] = {}
    for row in rows:
        by_source.setdefault(row["quality_source"], {})[row["variant"]] = None
    return [(source, ", ".join(names)) for source, names in by_source.items()]


def markdown(document: Mapping[str, Any]) -> str:
    """The whole of docs/benchmarks.md."""
    title = "quick run" if document["quick"] else "full run"
    lines = ["# Benchmarks", "", f"Made by `make bench` ({title}); every figure comes from one run of one process.", ""]
    lines += [f"- {line}" for line in notes(document)]
    lines += ["", "## How to read it", "", HOW_TO_READ]
    for regime in dict.fromkeys(row["regime"] for row in document["rows"]):
        for threads in dict.fromkeys(row["threads"] for row in document["rows"]):
            rows = [r for r in document["rows"] if (r["regime"], r["threads"]) == (regime, threads)]
            if rows:
                n = rows[0]["repetitions"]
                lines += [f"## {regime}, {threads} thread{'s' if threads > 1 else ''} ({n} repetitions each)", ""]
                lines += [*_table(headings(), [cells(row) for row in rows]), ""]
    same = [row for row in document["rows"] if row["same_precision"]]
    if same:
        head = ["variant", "regime", "threads", "baseline", "wall p50", "wall p99"]
        body = [[r["variant"], r["regime"], str(r["threads"]), r["same_precision"]["baseline"],
                 f"{r['same_precision']['ratio_wall_p50']:.3f}", f"{r['same_precision']['ratio_wall_p99']:.3f}"]
                for r in same]  # fmt: skip
        lines += ["## The same precision on both sides", "", *_table(head, body), ""]
    return "\n".join(lines)


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
