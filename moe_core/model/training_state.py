"""Saves and resumes a training run: weights and optimizer moments as safetensors, the step as JSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from moe_core.errors import CheckpointError

Named = list[tuple[str, nn.Parameter]]


def save_training_state(
    folder: Path,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    named: Named,
    loads_LE: Sequence[Tensor],
    step: int,
) -> None:
    """Replaces the state in `folder`; a crash leaves the old or the new one, never a mixture."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {f"model/{k}": v.contiguous() for k, v in student.state_dict().items()}
    for name, parameter in named:
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = value.contiguous()
    tensors |= {f"load/{layer}": load_E.contiguous() for layer, load_E in enumerate(loads_LE)}
    temporary = folder / "state.tmp"
    save_file(tensors, temporary, metadata={"step": json.dumps(step)})
    os.replace(temporary, folder / "state.safetensors")


def load_training_state(
    folder: Path, student: nn.Module, optimizer: torch.optim.Optimizer, named: Named, loads_LE: Sequence[Tensor]
) -> int:
    """Restores a saved state if there is one: weights, moments, the controller's loads. Returns the next step."""
    path = folder / "state.safetensors"
    if not path.is_file():
        return 0
    tensors = load_file(path)
    student.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")})
    for name, parameter in named:
        optimizer.state[parameter] = {
            key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in tensors
        }
    for layer, load_E in enumerate(loads_LE):
        if f"load/{layer}" in tensors:
            load_E.copy_(tensors[f"load/{layer}"])
    return int(next(float(v) for k, v in tensors.items() if k.startswith("step/")))


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise CheckpointError(f"There is no training state at {path}: correct `start_from`.")


def narrow_width(path: Path) -> int:
    """Width of query and key heads in another run's state; 0: as in the original. Raises CheckpointError if there is
    no state."""
    _check_there(path)
    with safe_open(path, framework="pt") as tensors:
        maps = [name for name in tensors.keys() if name.endswith("query_map_AKW")]  # noqa: SIM118 - no mapping
        return int(tensors.get_slice(maps[0]).get_shape()[1]) if maps else 0


def load_weights(path: Path, student: nn.Module) -> None:
    """Takes the weights of another run's state. Raises CheckpointError if there is none or it does not fit."""
    _check_there(path)
    tensors = load_file(path)
    try:
        student.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")})
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit this configuration: {str(error).splitlines()[0]}") from error
