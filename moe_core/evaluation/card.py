"""MODEL_CARD.md, written from what was measured: configuration, dial, heads, evaluation. No figure is typed by hand."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moe_core.model.checkpoint import MEASUREMENTS, read_json

DIAL_SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)
NOTES = "card_notes.md"  # provenance and limits in words, kept beside the weights


def write_card(folder: Path) -> Path:
    """Writes <folder>/MODEL_CARD.md and returns its path. Raises CheckpointError where a file is missing."""
    config = read_json(folder / "config.json")
    parts = [f"# Model card: {config.get('name', folder.name)}", ""]
    notes = folder / NOTES
    if notes.is_file():
        parts += [notes.read_text(encoding="utf-8").strip(), ""]
    parts += dial(read_json(folder / "calibration.json"))
    heads = [read_json(path) for path in sorted((folder / "heads").glob("*.json"))]
    if heads:
        parts += head_tables(heads)
    if (folder / MEASUREMENTS).is_file():
        parts += measurements(read_json(folder / MEASUREMENTS))
    if (folder / "sources.json").is_file():
        parts += sources(json.loads((folder / "sources.json").read_text(encoding="utf-8")))
    path = folder / "MODEL_CARD.md"
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return path


def dial(calibration: Mapping[str, Any]) -> list[str]:
    """The dial on held-out text, and by kind of text near share .35."""
    points = calibration["points"]
    chosen = list({id(p): p for p in (_nearest(points, share) for share in DIAL_SHARES)}.values())
    middle = _nearest(points, 0.35)
    rows = [[f"{p['budget']:.3f}", f"{p['tau']:.4f}", f"{p['cosine']:.3f}", f"{p['cosine_p05']:.3f}",
             " ".join(f"{s:.2f}" for s in p["by_layer"])] for p in chosen]  # fmt: skip
    kinds = sorted(middle["by_domain"].items(), key=lambda item: item[1][1])
    return [
        "## The dial, measured on held-out text",
        f"{points[-1]['n_texts']:,} texts, {points[-1]['n_tokens']:,} tokens, none of them in training. Cosine = "
        f"adaptive "
        "against dense embedding.",
        "",
        *grid(["share of expert compute", "threshold", "mean cosine", "5th percentile", "share by layer"], rows),
        f"Budgets below {points[0]['budget']:.3f} are refused: nobody measured them. The share moves with the "
        f"text: at the "
        f"setting that runs {middle['budget']:.2f} over all, by kind of text, worst first:",
        "",
        *grid(["kind of text", "n", "share", "mean cosine"],
              [[name, int(n), f"{share:.2f}", f"{cosine:.3f}"] for name, (share, cosine, n) in kinds]),
    ]  # fmt: skip


def head_tables(heads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Accuracy and calibration error of every head at every budget."""
    keys = [k for k in heads[0].get("accuracy", {}) if k != "dense"]
    rows, errors = [], []
    for head in heads:
        accuracy, error = head.get("accuracy", {}), head.get("calibration_error", {})
        only = head.get("dense_only_accuracy")
        rows.append([head["name"], len(head["labels"]), head["n_train"], head["n_test"],
                     _number(only), *(_number(accuracy.get(k)) for k in ["dense", *keys])])  # fmt: skip
        errors.append([head["name"], *(_number(error.get(k), 3) for k in ["dense", *keys])])
    return [
        "## Heads",
        "Linear classifiers on the embedding, fitted on embeddings of the dense original (half of the weight) "
        "and of the "
        "sparse model at all budgets. Accuracy on held-out texts; `dense only`: a head fitted on the original's "
        "embeddings "
        "alone, read by the original.",
        "",
        *grid(["head", "labels", "n train", "n test", "dense only", "dense", *keys], rows),
        "Expected calibration error, 15 bins of equal mass:",
        "",
        *grid(["head", "dense", *keys], errors),
        *[
            f"- **{h['name']}**: {h['task']} Source: {h['source']} Licence: {h['licence']}"
            for h in heads
            if h.get("task")
        ],
        "",
    ]


def measurements(document: Mapping[str, Any]) -> list[str]:
    """Everything of evaluation.json."""
    parts = [
        "## Against the dense original, same texts, paired",
        f"Measured {document['made'][:10]} on {document['machine']}; texts cut at "
        f"{document.get('max_tokens', '?')} tokens. "
        "Points = accuracy minus that of the dense original with the same head; 95 % bootstrap interval over texts.",
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
        worst = [e["worst"] | {"task": e["name"]} for e in entries if e.get("worst")]
        parts += [f"Worst slice of {w['task']}: {w['slice']} with {w['delta_points']:+.1f} points at {w['budget']:g} "
                  f"(n = {w['n']}, 95 % {w['delta_low']:+.1f} to {w['delta_high']:+.1f})." for w in worst]  # fmt: skip
        parts.append("")
        for entry in entries:
            parts += _slices(entry)
    return parts + _escalation(document) + _lost(document) + _difficulty(document) + _work(document)


def difficulty_sentence(found: Mapping[str, Any]) -> str:
    """The sentence that the figures allow, and no other."""
    figures = (
        f"Spearman correlation {found['spearman']:.3f} over {found['n_tokens']:,} tokens (numbers shuffled "
        f"inside each text: "
        f"at most {found['shuffled_p95']:.3f} in 95 % of draws); running the shuffled numbers at the same total "
        f"compute "
        f"changes the mean cosine from {found['own_counts_cosine']:.4f} to {found['shuffled_counts_cosine']:.4f} "
        f"(difference "
        f"{found['swap_difference']:+.4f}, 95 % {found['swap_low']:+.4f} to {found['swap_high']:+.4f})."
    )
    correlates, swap = found["spearman"] > found["shuffled_p95"], found["swap_low"] > 0
    if correlates and swap:
        return f"**Hard tokens get more experts, and it matters.** {figures}"
    if correlates:
        return f"**Hard tokens get more experts, but other tokens could have them without measurable harm.** {figures}"
    if swap:
        return f"**More experts do not go to harder tokens, though the choice of tokens matters.** {figures}"
    return f"**More experts do not go to harder tokens.** {figures}"


def sources(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Text used for training."""
    rows = [[e["name"], e.get("licence", ""), e.get("texts", ""), e.get("credit", "")] for e in entries]
    return ["## Text used for training", "", *grid(["source", "licence", "texts", "credit"], rows)]


def grid(head: Sequence[object], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A markdown table with an empty line behind it; bars in cells are escaped."""
    lines: list[Sequence[Any]] = [list(head), ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


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
             f"{e['hardest_tenth_without']:+.2f}", same_flops(e)]
            for e in document.get("escalation", [])]  # fmt: skip
    if not rows:
        return []
    return [
        "## Escalation: cheap first, the dense original where the lead is small",
        "The lead was chosen on one half of the texts, the figures come from the other half. FLOPs count both passes.",
        "",
        *grid(["task", "budget", "lead below", "run again", "FLOPs", "points", "without", "hardest tenth", "without",
               "plain at about the same FLOPs"], rows),
    ]  # fmt: skip


def _lost(document: Mapping[str, Any]) -> list[str]:
    found = document.get("lost_experts")
    if not found:
        return []
    rows = [[size, e["task"], e["n"], e["tried"], f"{e['mean_points']:+.2f}", f"{e['worst_points']:+.2f}",
             ", ".join(e["worst"]), f"{e['share_within']:.0%}"]
            for size in ("single", "pair") for e in found[size]]  # fmt: skip
    return [
        f"## Lost experts (budget {found['budget']:g})",
        "Points against the whole model at the same budget when experts (layer:expert) must not run. The worst "
        "of many is "
        "partly chance.",
        "",
        *grid(["lost", "task", "n", "tried", "mean", "worst", "which", "within .5 (pair: 1.0) points"], rows),
    ]


def _difficulty(document: Mapping[str, Any]) -> list[str]:
    found = document.get("difficulty")
    if not found:
        return []
    rows = [
        [q["quintile"], q["n"], f"{q['distance']:.3f}", f"{q['experts_per_token']:.2f}"] for q in found["quintiles"]
    ]
    return ["## Do hard tokens get more experts?", difficulty_sentence(found), "",
            "Difficulty: distance of the last hidden state to dense when every token gets two experts.", "",
            *grid(["fifth", "tokens", "mean distance", "experts per token and layer"], rows)]  # fmt: skip


def _work(document: Mapping[str, Any]) -> list[str]:
    rows = [[f"{e['budget']:g}", f"{e['busiest_ratio']:.1f}x", e["dead"], e["cold"]] for e in document.get("load", [])]
    if not rows:
        return []
    return ["## Load", "", *grid(["budget", "busiest against an equal share", "dead", "cold (under a tenth)"], rows)]


def same_flops(entry: Mapping[str, Any]) -> str:
    """What the plain adaptive model does at about the same FLOPs."""
    points, budget = entry["same_flops_delta_points"], entry["same_flops_budget"]
    return f"{points:+.2f} at budget {budget:g}, {entry['same_flops_ratio']:.0%}"


def _nearest(points: Sequence[Mapping[str, Any]], share: float) -> Mapping[str, Any]:
    return min(points, key=lambda p: abs(p["budget"] - share))


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
