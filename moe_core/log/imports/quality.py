"""The quality card of an imported run: what was there, what was not, and what looks odd. Nothing here refuses anything.

Figures stand under keys, sentences under `notes`. The card is stored with the run.

Shape letters: N rows, G groups (one per token and layer), L layers, E experts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.log.imports.decisions import DecisionRows
from moe_core.log.imports.runs import MAX_EXPERTS, ImportRun

_REALS = ("logit", "prob", "gate_weight", "margin")
_INTEGERS = ("position", "layer", "expert_id")
_PROB_SUM = 1.01  # above it, probabilities of one softmax are not what they are called
_LISTED = 8  # names in a sentence, before it says "and n more"


class QualityCounter:
    """Sums over the decisions of one run, portion by portion."""

    def __init__(self, run: ImportRun, where: str) -> None:
        self._run = run
        self._where = where
        self.rows = self.groups = 0
        self._seen_LE = np.zeros((run.n_layers or 0, run.n_experts or 0), np.int64)
        self._executed_LE = self._seen_LE.copy()
        self._known = dict.fromkeys(_REALS, 0)
        self._low: dict[str, float] = {}
        self._high: dict[str, float] = {}
        self._fewest, self._most, self._executed = 2**31, 0, 0
        self._prob_excess = self._idle_groups = self._many_losers = self._losers_first = self._rank_gaps = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and experts: as runs.json says, else the highest ids that occurred, plus 1."""
        n_layers, n_experts = self._seen_LE.shape
        return max(n_layers, 1), max(n_experts, 1)

    def add(self, rows: DecisionRows, starts_G: NDArray[np.int64], rank_N: NDArray[np.int16]) -> None:
        """Rows of whole requests in order, with their ranks, and where each group begins."""
        n, lengths_G = len(rows), np.diff(starts_G, append=len(rows))
        self.rows += n
        self.groups += len(starts_G)
        self._count_experts(rows)
        for name in (*_REALS, *_INTEGERS):
            self._note_range(name, getattr(rows, f"{name}_N"))
        executed_G = np.add.reduceat(rows.selected_N, starts_G, dtype=np.int32)
        self._executed += int(executed_G.sum())
        self._fewest = min(self._fewest, int(executed_G.min()))
        self._most = max(self._most, int(executed_G.max()))
        self._idle_groups += int((executed_G == 0).sum())
        self._many_losers += int((lengths_G - executed_G > 1).sum())
        place_N = np.arange(n) - np.repeat(starts_G, lengths_G)
        self._losers_first += int((~rows.selected_N[:-1] & rows.selected_N[1:] & (place_N[1:] > 0)).sum())
        self._rank_gaps += int((rank_N != place_N).sum())
        if self._known["prob"]:
            sums_G = np.add.reduceat(np.nan_to_num(rows.prob_N), starts_G)
            self._prob_excess += int((sums_G > _PROB_SUM).sum())

    def card(
        self, *, n_tokens: int, missing: Mapping[str, Mapping[str, str]], unknown_requests: Mapping[str, float],
        ignored: Mapping[str, Sequence[str]], files: Mapping[str, Any], n_requests: int, notes: Sequence[str],
    ) -> dict[str, Any]:  # fmt: skip
        """The card. `missing`: file -> column -> what stands in for it. `n_tokens`: of all requests of the run."""
        n_layers, n_experts = self.shape
        layers = np.flatnonzero(self._seen_LE.sum(1) == 0)
        never_seen = int((self._seen_LE == 0).sum())
        never_ran = int((self._executed_LE == 0).sum())
        rows = max(self.rows, 1)
        decided = self.groups / (n_tokens * n_layers) if n_tokens else 0.0
        suspicious = self._suspicions()
        card: dict[str, Any] = {
            "rows": self.rows,
            "requests": n_requests,
            "tokens": n_tokens,
            "n_layers": n_layers,
            "n_experts": n_experts,
            "unknown_share": {
                "decisions": {name: round(1 - self._known[name] / rows, 6) for name in _REALS},
                "requests": {name: round(share, 6) for name, share in unknown_requests.items()},
            },
            "not_given": {file: dict(columns) for file, columns in missing.items()},
            "ignored_columns": {file: list(names) for file, names in ignored.items() if names},
            "layers_never_seen": layers.tolist(),
            "experts_never_seen": never_seen,
            "experts_never_executed": never_ran,
            "executed_per_token_and_layer": {
                "min": self._fewest if self.groups else 0,
                "mean": round(self._executed / max(self.groups, 1), 6),
                "max": self._most,
            },
            "tokens_and_layers_decided": round(decided, 6),
            "suspicious": sorted(suspicious),
            "files": dict(files),
        }
        if self._run.earlier_card is not None:
            card["given"] = self._run.earlier_card
        card["notes"] = [*notes, *self._gaps(layers, never_seen, never_ran, decided), *suspicious.values()]
        return card

    def _count_experts(self, rows: DecisionRows) -> None:
        n_layers, n_experts = self._seen_LE.shape
        n_layers = max(n_layers, int(rows.layer_N.max()) + 1)
        n_experts = max(n_experts, int(rows.expert_id_N.max()) + 1)
        if n_layers * n_experts > MAX_EXPERTS:
            raise InputError(
                f"{self._where}: layer {n_layers - 1} and expert_id {n_experts - 1} occur in run {self._run.run_id!r}, "
                f"which makes more than {MAX_EXPERTS:,} experts; give n_layers and n_experts in runs.json."
            )
        if (n_layers, n_experts) != self._seen_LE.shape:
            grown = [(0, n_layers - self._seen_LE.shape[0]), (0, n_experts - self._seen_LE.shape[1])]
            self._seen_LE, self._executed_LE = np.pad(self._seen_LE, grown), np.pad(self._executed_LE, grown)
        cell_N = rows.layer_N.astype(np.int64) * n_experts + rows.expert_id_N
        size = n_layers * n_experts
        seen = np.bincount(cell_N, minlength=size)
        self._seen_LE += seen.reshape(n_layers, n_experts)
        executed = seen - np.bincount(cell_N[~rows.selected_N], minlength=size)
        self._executed_LE += executed.reshape(n_layers, n_experts)

    def _note_range(self, name: str, values_N: NDArray[Any]) -> None:
        low, high = float(values_N.min()), float(values_N.max())
        if np.isnan(low):
            known_N = values_N[~np.isnan(values_N)]
            self._known[name] += len(known_N)
            if not len(known_N):
                return
            low, high = float(known_N.min()), float(known_N.max())
        elif name in self._known:
            self._known[name] += len(values_N)
        self._low[name] = min(self._low.get(name, low), low)
        self._high[name] = max(self._high.get(name, high), high)

    def _gaps(self, layers: NDArray[np.int64], never_seen: int, never_ran: int, decided: float) -> list[str]:
        n_layers, n_experts = self.shape
        notes = []
        if self.rows == 0:
            return [f"Run {self._run.run_id!r} has no decisions."]
        if len(layers):
            notes.append(f"No decision was made in {_listed('layer', layers.tolist())} of {n_layers} layers.")
        if never_seen:
            notes.append(f"{never_seen} of {n_layers * n_experts} experts never occur in a decision.")
        if never_ran > never_seen:
            notes.append(f"{never_ran - never_seen} of {n_layers * n_experts} experts occur, but were never executed.")
        if decided < 1:
            notes.append(f"Decisions cover {decided:.1%} of all pairs of a token and a layer.")
        return notes

    def _suspicions(self) -> dict[str, str]:
        """Key -> sentence, for what is allowed but rarely meant."""
        found: dict[str, str] = {}
        n_layers, n_experts = self.shape
        if self.rows == 0:
            return found
        if n_experts > 1:
            seen_L = self._seen_LE.sum(1)
            stuck = np.flatnonzero((seen_L > 0) & (self._seen_LE[:, 0] == seen_L))
            if len(stuck):
                where = _listed("layer", stuck.tolist())
                found["only_expert_0"] = f"Every decision in {where} is for expert 0; was expert_id filled in?"
        if self._prob_excess:
            found["prob_sum"] = (
                f"In {self._prob_excess:,} of {self.groups:,} pairs of a token and a layer the probabilities add up to "
                "more than 1; prob should be the softmax over all experts of the layer."
            )
        if self._known["logit"] and self._low["logit"] >= 0 and self._high["logit"] <= 1:
            found["logits_look_like_probs"] = "Every logit lies between 0 and 1; were probabilities given as logits?"
        constant = [name for name in self._low if self._low[name] == self._high[name] and self.rows > 1]
        constant = [name for name in constant if not (name == "layer" and n_layers == 1)]
        for name in constant:
            found[f"constant_{name}"] = f"The column {name} is {self._low[name]:g} wherever it is known."
        if self._idle_groups:
            found["nothing_executed"] = f"In {self._idle_groups:,} pairs of a token and a layer no expert was executed."
        if self._many_losers:
            found["many_not_executed"] = (
                f"{self._many_losers:,} pairs of a token and a layer list more than one expert that was not executed; "
                "the log expects the best one only."
            )
        if self._losers_first:
            found["rank_of_not_executed"] = (
                f"In {self._losers_first:,} places an expert that was not executed ranks before one that was."
            )
        if self._rank_gaps:
            found["rank_gaps"] = f"{self._rank_gaps:,} ranks do not count 0, 1, 2, ... within their token and layer."
        return found


def _listed(what: str, ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:_LISTED]))
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return f"{what}{'s' if len(ids) > 1 else ''} {shown}{more}"
