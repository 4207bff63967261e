"""The words of an upcycled model's card: base, sizes, texts, settings, limits. Every number comes from the run."""

from collections.abc import Sequence
from pathlib import Path

from moe_core.model.base_check import Base
from moe_core.model.training import TrainingConfig
from moe_core.model.upcycle_texts import TextShares


def card_notes(
    base: Base, texts: TextShares, config: TrainingConfig, *, base_folder: Path, file: Path, remarks: Sequence[str],
    split_difference: float,
) -> str:  # fmt: skip
    """Markdown that stands before the measured dial. `split_difference`: between the split and the base, see
    `pipeline.check_split`."""
    sizes, objective = base.dense.config, config.objective
    width = sizes.d_model // sizes.n_heads
    narrow = f"narrowed from {width} to {config.qk_width}" if config.qk_width else f"as in the base ({width})"
    remarked = [f"- {remark}" for remark in remarks] or ["- none"]
    lines = [
        f"Made by `routelens upcycle` from the encoder in `{base_folder.name}`: its feed-forward blocks were split "
        "into experts (split, not copied: the number of weights stays, apart from small routers) and trained to agree "
        "with the base, which is kept beside and runs with `--mode dense`.",
        "",
        "## Base and sizes",
        f"- Base `{base.name}`, sha256 of its weights `{base.weights_sha256}`",
        f"- {sizes.n_layers} layers, width {sizes.d_model}, {sizes.n_heads} heads, {sizes.d_hidden} feed-forward "
        f"neurons, vocabulary {sizes.vocab_size:,}, up to {sizes.n_positions:,} tokens a text",
        f"- {config.n_experts} experts of {sizes.d_hidden // config.n_experts} neurons in every layer; routers "
        f"{sizes.d_model}-{config.router_hidden}-{config.n_experts}; query and key heads {narrow}",
        "- Embedding: mean over the tokens, normalised to length 1",
        f"- Before training, with all experts on, no number of an embedding differed from the base by more than "
        f"{split_difference:.1e}",
        "",
        "## Texts and training",
        f"- {len(texts.train):,} texts of `{file.name}` ({len(texts.train.ids):,} tokens, {len(texts.train.domains)} "
        f"kinds); no label was used. Held out: {len(texts.heldout):,} texts ({texts.heldout_name})",
        f"- {config.router_steps} steps for the routers alone, then {config.steps} steps of about "
        f"{config.batch.tokens:,} tokens, texts cut at {config.batch.max_tokens}; learning rates "
        f"{config.learning_rate:g} and {config.router_learning_rate:g} (routers); seed {config.seed}; "
        f"{config.precision} products",
        f"- Loss: {objective.embedding:g} x embedding + {objective.hidden:g} x hidden states + {objective.router:g} x "
        f"router regression + {objective.concentration:g} x concentration + {objective.imbalance:g} x imbalance",
        "",
        "## Remarks",
        *remarked,
        "",
        "## Limits",
        "- What was measured is agreement with the base (cosine of embeddings) on the held-out texts, nothing else: no "
        "task, no speed, no fairness. Measure your own task with `routelens head train --test` before relying on it.",
        "- The base's own limits, licence and terms hold for this folder too.",
        "- Texts of another kind were not measured; expect less agreement there, above all at small budgets.",
        f"- {config.steps:,} steps were trained; other lengths and settings were not compared.",
        "- `budget = 1` runs every expert of the adapted weights; only `--mode dense` is the base itself.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
