"""MODEL_CARD.md, written from what was measured: configuration, dial, heads, evaluation. No figure is typed by hand."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moe_core.evaluation.card_tables import grid, measurements
from moe_core.model.checkpoint import MEASUREMENTS, read_json

DIAL_SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)
NOTES = "card_notes.md"  # provenance and limits in its maker's words; without them, what config.json says and LIMITS
LIMITS = """## Limits
- Quality falls with the budget, first on unusual text: see the worst slices. Compare with dense on your own data.
- "All experts on" (budget 1) is the adapted model, not the original; `--mode dense` is the original.
- Savings are counted in FLOPs of the encoder (2 per multiply-add, routers included). Wall time saves less, and for one
  short text the sparse model can be slower than dense.
- Dense mode stores weights with 24 bits: embedding entries within 1e-6 of the float32 original.
- Figures in the tables on this page are from few texts where n is small; the intervals say how much is chance.

## Must not be used for
Decisions about people without a human who answers for them; legal, medical or credit decisions; findings about any
group of people from demo requests (imitated voices); languages other than English, Japanese included, whose words
mostly become unknown tokens; texts over the model's longest (refused unless truncation is asked for)."""


def write_card(folder: Path) -> Path:
    """Writes <folder>/MODEL_CARD.md and returns its path. Raises CheckpointError where a file is missing."""
    config = read_json(folder / "config.json")
    parts = [f"# Model card: {config.get('name', folder.name)}", ""]
    notes = folder / NOTES
    written = notes.is_file()
    parts += [notes.read_text(encoding="utf-8").strip(), ""] if written else provenance(config)
    parts += dial(read_json(folder / "calibration.json"))
    heads = [read_json(path) for path in sorted((folder / "heads").glob("*.json"))]
    if heads:
        parts += head_tables(heads)
    if (folder / MEASUREMENTS).is_file():
        parts += measurements(read_json(folder / MEASUREMENTS))
    if not written:
        parts += [LIMITS, ""]
    if (folder / "sources.json").is_file():
        parts += sources(json.loads((folder / "sources.json").read_text(encoding="utf-8")))
    path = folder / "MODEL_CARD.md"
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return path


def provenance(config: Mapping[str, Any]) -> list[str]:
    """What the model is and how it was made, as far as config.json says."""
    sizes, training = config["encoder"], dict(config.get("training", {}))
    narrow = f", query and key heads {sizes['qk_width']} wide" if sizes.get("qk_width") else ""
    lines = [
        f"An adaptive sparse text encoder: {config.get('base', 'a BERT-family encoder')} ({sizes['n_layers']} layers, "
        f"width {sizes['d_model']}) with each feed-forward block split into {sizes['n_experts']} experts of "
        f"{sizes['d_hidden'] // sizes['n_experts']} neurons and a router of {sizes['router_hidden']} hidden units in "
        f"front{narrow}. One number, the budget, sets at run time how much of the expert compute is spent. The "
        "original is shipped beside it (`--mode dense`) and is the baseline of every figure here.",
        "",
        "**Licence**: that of the base (all-MiniLM-L6-v2: Apache-2.0). **Language**: English, uncased.",
        "",
    ]
    if training:
        plain = [f"{key} {value}" for key, value in training.items() if not isinstance(value, dict)]
        lines += [f"**Made with**: {', '.join(plain)}; every setting is in `config.json`.", ""]
    return lines


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
        "adaptive against dense embedding.",
        "",
        *grid(["share of expert compute", "threshold", "mean cosine", "5th percentile", "share by layer"], rows),
        f"Budgets below {points[0]['budget']:.3f} are refused: nobody measured them. The share moves with the text: at "
        f"the setting that runs {middle['budget']:.2f} over all, by kind of text, worst first:",
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
        "Linear classifiers on the embedding, fitted on two embeddings of each training text: the dense original's (a "
        "quarter of the weight) and the sparse model's at one of the budgets in turn. Accuracy on held-out texts; "
        "`dense only`: a head fitted on the original's embeddings alone, read by the original.",
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


def sources(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Text used for training."""
    rows = [[e["name"], e.get("licence", ""), e.get("texts", ""), e.get("credit", "")] for e in entries]
    return ["## Text used for training", "", *grid(["source", "licence", "texts", "credit"], rows)]


def _nearest(points: Sequence[Mapping[str, Any]], share: float) -> Mapping[str, Any]:
    return min(points, key=lambda p: abs(p["budget"] - share))


def _number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
