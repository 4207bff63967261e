"""Experts that must not run: how they are named, and which of each layer are left.

An expert is lost when the machine that holds it is down, or taken out on purpose. It can neither pass its threshold nor
stand in for the floor; whoever runs instead is marked as a failover (`router.py`).
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from moe_core.errors import InputError

Expert = tuple[int, int]  # (layer, expert_id), both from 0

_NAME = re.compile(r"([0-9]{1,6}):([0-9]{1,6})")


def parse_expert(name: str) -> Expert:
    """'2:5' -> (2, 5). Raises InputError for anything else."""
    found = _NAME.fullmatch(name.strip()) if isinstance(name, str) else None
    if found is None:
        raise InputError(f"Expert {name!r} is not LAYER:EXPERT: write for example 2:5, both counted from 0.")
    return int(found[1]), int(found[2])


def expert_name(expert: Expert) -> str:
    """(2, 5) -> '2:5'."""
    return f"{expert[0]}:{expert[1]}"


def check_unavailable(unavailable: Sequence[Expert], n_layers: int, n_experts: int) -> None:
    """Raises InputError for an expert that the model does not have, one named twice, or a layer with none left."""
    for layer, expert in unavailable:
        if not (0 <= layer < n_layers and 0 <= expert < n_experts):
            raise InputError(
                f"There is no expert {expert_name((layer, expert))}: this model has the layers 0 to {n_layers - 1} "
                f"with the experts 0 to {n_experts - 1} each."
            )
    check_no_repeats(unavailable)
    for layer in range(n_layers):
        if sum(1 for lost, _ in unavailable if lost == layer) == n_experts:
            raise InputError(f"All {n_experts} experts of layer {layer} are unavailable: at least one must be left.")


def check_no_repeats(unavailable: Sequence[Expert]) -> None:
    """Raises InputError if an expert is named twice."""
    for place, expert in enumerate(unavailable):
        if expert in unavailable[:place]:
            raise InputError(f"Expert {expert_name(expert)} is named twice among the unavailable: name it once.")


def available_LE(unavailable: Sequence[Expert], n_layers: int, n_experts: int) -> list[Tensor | None]:
    """One bool tensor (E,) a layer, False where the expert is lost; None for a layer that lost nobody.

    Raises InputError as `check_unavailable` does.
    """
    check_unavailable(unavailable, n_layers, n_experts)
    result: list[Tensor | None] = []
    for layer in range(n_layers):
        lost = [expert for at, expert in unavailable if at == layer]
        available_E = torch.ones(n_experts, dtype=torch.bool)
        available_E[lost] = False
        result.append(available_E if lost else None)
    return result
