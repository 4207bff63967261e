"""The part of a model card that comes from evaluation.json: what holds, and every figure with its n and interval."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from moe_core.evaluation.findings import difficulty_finding, findings


def measurements(document: Mapping[str, Any]) -> list[str]:
    """Everything of evaluation.json."""
    parts = [
        "## What holds, and what does not",
        "Holds: the interval lies within the bound. Open: the estimate does, its interval does not; more texts may "
        "decide. Bounds are the project's own.",
        "",
        *[f"- **{f.name}: {f.verdict}.** {f.sentence}" for f in findings(document)],
        "",
        "## Against the dense original, same texts, paired",
        f"Measured {document['made'][:10]} on {document['machine']}; texts cut at "
        f"{document.get('max_tokens', '?')} tokens, at most {document.get('task_tokens', 0):,} tokens a task. Points = "
        "accuracy minus that of the dense original with the better of two heads: this one, and one that saw the "
        "original's embeddings alone. 95 % = bootstrap interval over texts. Same answer: as the original, this head.",
        "",
    ]
    for title, entries in (("Shipped tasks", document["tasks"]), ("Never trained on", document.get("unseen", []))):
        parts += [f"### {title}", "", *grid(
            ["task", "n", "dense", "rule", "budget", "share that ran", "encoder FLOPs", "points", "95 %", "same answer",
             "cosine"],
            [[e["name"], e["n"], f"{e['dense']['accuracy']:.3f}", p["rule"], f"{p['budget']:g}",
              f"{p['active_fraction']:.2f}", f"{p['flops_ratio']:.0%}", f"{p['delta_points']:+.2f}",
              f"{p['delta_low']:+.2f} to {p['delta_high']:+.2f}", f"{p['agreement']:.3f}", f"{p['cosine']:.3f}"]
             for e in entries for p in e["points"]])]  # fmt: skip
        parts += (
            ["Expected calibration error (15 bins of equal mass), adaptive rule:", "", *_errors(entries)]
            if entries
            else []
        )
        worst = [e["worst"] | {"task": e["name"]} for e in entries if e.get("worst")]
        parts += [f"Worst slice of {w['task']}: {w['slice']} with {w['delta_points']:+.1f} points at {w['budget']:g} "
                  f"(n = {w['n']}, 95 % {w['delta_low']:+.1f} to {w['delta_high']:+.1f})." for w in worst]  # fmt: skip
        parts.append("")
        for entry in entries:
            parts += _slices(entry)
    return parts + _escalation(document) + _lost(document) + _difficulty(document) + _work(document)


def grid(head: Sequence[object], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A markdown table with an empty line behind it; bars in cells are escaped."""
    lines: list[Sequence[Any]] = [list(head), ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


def _errors(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    points = [{f"{p['budget']:g}": p["ece"] for p in e["points"] if p["rule"] == "adaptive"} for e in entries]
    rows = [
        [e["name"], f"{e['dense']['ece']:.3f}", *(f"{error:.3f}" for error in of_task.values())]
        for e, of_task in zip(entries, points, strict=True)
    ]
    return grid(["task", "dense", *points[0]], rows)


def _slices(entry: Mapping[str, Any]) -> list[str]:
    if not entry.get("slices"):
        return []
    keys = list(entry["slices"][0]["accuracy"])
    rows = [[s["slice"], s["n"], f"{s['dense']:.2f}", *(f"{s['accuracy'][k]:.2f}" for k in keys),
             f"{s['agreement'].get('0.35', float('nan')):.2f}"] for s in entry["slices"]]  # fmt: skip
    return [f"{entry['name']} by kind: accuracy, and same answer as dense at .35 (few texts each, read with care)", "",
            *grid(["kind", "n", "dense", *keys, "same at .35"], rows)]  # fmt: skip


def _escalation(document: Mapping[str, Any]) -> list[str]:
    rows = [[e["task"], f"{e['base_budget']:g}", f"{e['margin_below']:.2f}", f"{e['escalated_share']:.0%}",
             f"{e['flops_ratio']:.0%}", f"{e['delta_points']:+.2f}", f"{e['without_delta_points']:+.2f}",
             f"{e['hardest_tenth_delta_points']:+.2f} (n = {e['hardest_tenth_n']})",
             f"{e['hardest_tenth_without']:+.2f}",
             f"{e['same_flops_delta_points']:+.2f} at budget {e['same_flops_budget']:.2g}, {e['same_flops_ratio']:.0%}"]
            for e in document.get("escalation", [])]  # fmt: skip
    if not rows:
        return []
    return [
        "## Escalation: cheap first, the dense original where the lead is small",
        "Each half of the texts is judged by the lead that was chosen on the other half. FLOPs count both passes.",
        "",
        *grid(["task", "budget", "lead below", "run again", "FLOPs", "points", "without", "hardest tenth", "without",
               "plain at about the same FLOPs"], rows),
    ]  # fmt: skip


def _lost(document: Mapping[str, Any]) -> list[str]:
    found = document.get("lost_experts")
    if not found:
        return []
    rows = [[size, e["task"], e["tried"], e["n_screened"], f"{e['mean_points']:+.2f}", ", ".join(e["worst"]), e["n"],
             f"{e['worst_points']:+.2f} ({e['worst_low']:+.2f} to {e['worst_high']:+.2f})"]
            for size in ("single", "pair") for e in found[size]]  # fmt: skip
    return [
        f"## Lost experts (budget {found['budget']:g})",
        "Points against the whole model at the same budget when experts (layer:expert) must not run. All losses were "
        "screened on a few texts; the most harmful were measured again on other texts, and the worst of these stands "
        "here.",
        "",
        *grid(["lost", "task", "tried", "n screened", "mean, screened", "worst", "n", "worst points (95 %)"], rows),
    ]


def _difficulty(document: Mapping[str, Any]) -> list[str]:
    found = document.get("difficulty")
    if not found:
        return []
    parts = ["## Do hard tokens get more experts?", difficulty_finding(found).sentence, ""]
    for words, measured in (
        ("Difficulty = distance of the last hidden state to dense when every token gets two experts", found),
        ("Difficulty = how late a token's state settles in the dense original", found["settling"]),
    ):
        rows = [[q["quintile"], q["n"], f"{q['difficulty']:.3f}", f"{q['experts_per_token']:.2f}"]
                for q in measured["quintiles"]]  # fmt: skip
        parts += [f"{words}; fifths of the tokens:", ""]
        parts += grid(["fifth", "tokens", "mean difficulty", "experts per token and layer"], rows)
    return parts


def _work(document: Mapping[str, Any]) -> list[str]:
    rows = [[f"{e['budget']:g}", f"{e['busiest_ratio']:.1f}x", e["dead"], e["cold"], f"{e.get('n_tokens', 0):,}"]
            for e in document.get("load", [])]  # fmt: skip
    parts = []
    if rows:
        head = ["budget", "busiest against an equal share", "dead", "cold (under a tenth)", "n tokens"]
        parts += ["## Load", "", *grid(head, rows)]
    shares: dict[float, list[str]] = {}
    for e in document.get("layers", []):
        shares.setdefault(e["budget"], []).append(f"{e['active_fraction']:.2f}")
    if shares:
        layers = range(max(len(row) for row in shares.values()))
        parts += ["Share of the experts that ran, by layer:", "",
                  *grid(["budget", *layers], [[f"{b:g}", *row] for b, row in shares.items()])]  # fmt: skip
    wall = [[f"{e['budget']:g}", e["regime"], e["threads"], f"{e['ratio_wall_p50']:.2f}",
             f"{e['ratio_wall_p99']:.2f}" if "ratio_wall_p99" in e else "-"]
            for e in document.get("wall", [])]  # fmt: skip
    if wall:
        where = (
            f"Measured {document['wall_made'][:10]} on {document['wall_machine']}." if "wall_made" in document else ""
        )
        parts += ["## Wall time against dense", "", *([where, ""] if where else []),
                  *grid(["budget", "regime", "threads", "p50", "p99"], wall)]  # fmt: skip
    return parts
