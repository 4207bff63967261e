"""Shares of a margin: what every component adds to it while norms and gates are frozen.

The comparison is one of logarithms, ln score minus ln threshold: logits are sums, so it is one. A share in margin units
is the one in log units times the logarithmic mean (score - threshold) / (ln score - ln threshold), which keeps the sum
(the logarithmic mean Divisia index: Ang, Energy Policy 32, 2004).
"""

from dataclasses import dataclass

import numpy as np

from moe_core.explain.components import Array, Part, Reader, TakenApart
from moe_core.explain.rules import Compared, Rule, ThresholdRule


@dataclass(frozen=True, slots=True)
class Shares:
    """parts and their shares, (C,), in log and in margin units; constants among them."""

    parts: tuple[Part, ...]
    logs_C: Array
    margins_C: Array


def logarithmic_mean(first: float, second: float) -> float:
    """(a - b) / (ln a - ln b) of two positive numbers; a where they are equal."""
    ratio = np.log(first / second)
    return first if abs(ratio) < 1e-12 else float(second * np.expm1(ratio) / ratio)


def shares(apart: TakenApart, reader: Reader, rule: Rule, compared: Compared, expert: int, rival: int) -> Shares:
    """Shares of the margin of `expert`; compared: one row, of these logits. Their sum is its score minus what it is
    compared with."""
    weights_ED, constants_E = reader.frozen(apart.input_D)
    logs = list(apart.rows_CD @ (weights_ED[expert] - weights_ED[rival]))
    parts = [*apart.parts, Part("bias")]
    logs.append(constants_E[expert] - constants_E[rival])
    score, threshold = float(compared.scores_NE[0, expert]), float(compared.thresholds_NE[0, expert])
    if isinstance(rule, ThresholdRule):
        lead = float(np.sum(logs))
        parts += [Part("threshold"), *([Part("cap")] if lead > 0 else [])]
        logs += [-float(np.log(threshold)), *([-lead] if lead > 0 else [])]
    logs_C = np.array(logs)
    return Shares(tuple(parts), logs_C, logs_C * logarithmic_mean(score, threshold))
