"""The documents of `bench log` and `bench views` as lines for the terminal."""

from collections.abc import Mapping
from typing import Any

TARGETS = (
    "asked: 2,000,000 decisions a CPU-second, 9 bytes a decision, recording at most 1.03 (batch256) and 1.05 (one)"
)


def log_lines(document: Mapping[str, Any]) -> list[str]:
    """Figures with their targets, machine and noise floor."""
    lines = [_machine(document), f"traffic: {document['traffic']}", TARGETS]
    for row in document["ingest"]:
        lines += [
            f"{row['decisions']:,} decisions in {row['segments']:,} segments: "
            f"{row['decisions_per_cpu_s']:,.0f} a CPU-second, {row['decisions_per_wall_s']:,.0f} a second, fsynced; "
            f"{row['bytes_per_decision']:.2f} bytes each ({row['bytes_per_decision_with_requests']:.2f} with requests, "
            "tokens and manifest)",
            f"  index: {row['index_cpu_ns_per_decision']:.0f} ns of CPU and "
            f"{row['index_bytes_per_decision']:.2f} bytes a decision, {row['index_wall_s']:.1f} s in all",
            f"  found by another process {row['freshness_p50_s']:.2f} s (p50), {row['freshness_p95_s']:.2f} s (p95) "
            f"after it was handed over, {row['freshness_acknowledged_p50_s']:.2f} s and "
            f"{row['freshness_acknowledged_p95_s']:.2f} s after it was acknowledged; {row['freshness_tries']} tries "
            "each",
        ]
    for row in document["recording"]:
        lines.append(
            f"recording, {row['regime']}, {row['threads']} thread(s): {row['ratio_wall_p50']:.3f} of the same not "
            f"recorded (CPU {row['ratio_cpu_p50']:.3f}); not recorded a second time {row['aa_ratio_wall_p50']:.3f} "
            f"(CPU {row['aa_ratio_cpu_p50']:.3f}); {row['requests']} requests, {row['repetitions']} repetitions"
        )
    return lines


def view_lines(document: Mapping[str, Any]) -> list[str]:
    """A table of the views."""
    head = f"{document['decisions']:,} decisions of {document['requests']:,} requests; milliseconds, p50 and p95"
    rows = [
        f"{row['view']:<26} warm {row['warm_p50_ms']:8.1f} {row['warm_p95_ms']:8.1f}   cold {row['cold_p50_ms']:8.1f} "
        f"{row['cold_p95_ms']:8.1f}{'   from sums' if row['from_rollup'] else ''}"
        for row in document["rows"]
    ]
    return [_machine(document), head, "asked: 1,000 ms (p95), from sums 100 ms", *rows]


def _machine(document: Mapping[str, Any]) -> str:
    where, load = document["machine"], document["load_average"]
    return (
        f"{where['cpu']}, {where['cores']} cores, Python {where['python']}; load average {load['start']} at the start, "
        f"{load['end']} at the end; {document['seconds']:.0f} s; peak memory {document['peak_rss_mb']:.0f} MB"
    )
