"""The frames behind the charts and tables of *Why this expert*."""

import pandas as pd

from moe_core.dashboard.i18n import Translate
from moe_core.explain.component_names import component_name, is_constant, turns
from moe_core.explain.decision import Contribution, DecisionExplanation
from moe_core.explain.word_effects import Effect, WordReport

SHOWN = 12  # contributions with a bar of their own
MOST_WORDS = 24  # words with a bar of their own


def expert_frame(decision: DecisionExplanation) -> pd.DataFrame:
    """(expert_id, logit, score, threshold, margin, runs, gate_weight, bf16_runs, chosen) one row per expert."""
    rows = [
        {
            "expert_id": each.expert_id, "logit": each.logit, "score": each.score, "threshold": each.threshold,
            "margin": each.margin, "runs": each.runs, "gate_weight": each.gate_weight, "bf16_runs": each.bf16_runs,
            "chosen": each.expert_id == decision.expert_id,
        }
        for each in sorted(decision.experts, key=lambda each: each.expert_id)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def contribution_frame(decision: DecisionExplanation, t: Translate) -> pd.DataFrame:
    """(name, kind, layer, index, contribution, log_contribution, margin_without, runs_without, turns, constant) one row
    per component, largest absolute contribution first."""
    rows = [
        {
            "name": component_name(each).text(t), "kind": each.kind, "layer": each.layer, "index": each.index,
            "contribution": each.contribution, "log_contribution": each.log_contribution,
            "margin_without": each.margin_without, "runs_without": each.runs_without,
            "turns": turns(each, runs=decision.runs), "constant": is_constant(each),
        }
        for each in by_size(decision)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def by_size(decision: DecisionExplanation) -> list[Contribution]:
    """Contributions, the largest absolute value first."""
    return sorted(decision.contributions, key=lambda each: -abs(each.contribution))


def grouped(frame: pd.DataFrame, t: Translate) -> pd.DataFrame:
    """frame as `contribution_frame` -> (name, contribution, turns, constant, n): the `SHOWN` largest, then all others
    as one row (if more than one is left). `turns` of the others: one of them turns the decision."""
    columns = ["name", "contribution", "turns", "constant"]
    if len(frame) <= SHOWN + 1:
        return frame[columns].assign(n=1)
    rest = frame.iloc[SHOWN:]
    others = {"name": t("all {n} others").format(n=len(rest)), "contribution": rest["contribution"].sum(),
              "turns": bool(rest["turns"].any()), "constant": False, "n": len(rest)}  # fmt: skip
    return pd.concat([frame.iloc[:SHOWN][columns].assign(n=1), pd.DataFrame([others])], ignore_index=True)


def word_frame(report: WordReport, of: str) -> pd.DataFrame:
    """(index, word, change, limit, swaps, beyond, turns, holds_token) one row per word of the text, in order; `of`:
    decision, answer or compute. change, limit: NaN where there is none."""
    rows = []
    for each in report.words:
        effect: Effect = getattr(each, of)
        rows.append(
            {
                "index": each.index, "word": each.word.text,
                "change": float("nan") if effect.change is None else effect.change,
                "limit": float("nan") if effect.floor is None else effect.floor.limit,
                "swaps": 0 if effect.floor is None else effect.floor.n,
                "beyond": effect.beyond is True, "turns": effect.turns is True, "holds_token": each.holds_token,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def shown_words(frame: pd.DataFrame, keep: "pd.Series[bool]") -> pd.DataFrame:
    """The words that get a bar, in order: those to keep, or the `MOST_WORDS` of them with the largest changes."""
    rows = frame[keep]
    if len(rows) <= MOST_WORDS:
        return rows
    return rows.loc[rows["change"].abs().nlargest(MOST_WORDS).index].sort_values("index")
