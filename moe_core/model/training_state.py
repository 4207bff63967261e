"""Saves and resumes a training run: weights and optimizer moments as safetensors, the step as JSON."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Named = list[tuple[str, nn.Parameter]]


def save_training_state(
    folder: Path, student: nn.Module, optimizer: torch.optim.Optimizer, named: Named, step: int
) -> None:
    """Replaces the state in `folder`; a crash leaves the old or the new one, never a mixture."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {f"model/{k}": v.contiguous() for k, v in student.state_dict().items()}
    for name, parameter in named:
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}/{name}"] = value.contiguous()
    temporary = folder / "state.tmp"
    save_file(tensors, temporary, metadata={"step": json.dumps(step)})
    os.replace(temporary, folder / "state.safetensors")


def load_training_state(folder: Path, student: nn.Module, optimizer: torch.optim.Optimizer, named: Named) -> int:
    """Restores a saved state if there is one. Returns the first step still to be done."""
    path = folder / "state.safetensors"
    if not path.is_file():
        return 0
    tensors = load_file(path)
    student.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model/")})
    for name, parameter in named:
        optimizer.state[parameter] = {
            key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in tensors
        }
    return int(next(float(v) for k, v in tensors.items() if k.startswith("step/")))
