"""How the shipped model fits: the original in 24 bits a weight, the adapted weights as 8-bit differences.

- `pack24`: float16 plus an int8 remainder of half a unit in the last place: about 19 bits of mantissa. Embeddings of
  the original then differ from float32 by less than 1e-6, where float16 alone would cost 2e-4 (docs/adr/0008).
- `pack_delta`: adapted minus original, int8 with one scale a row. What was rounded *is* the model: calibration and
  every published figure are measured after this step.
"""

import torch
from torch import Tensor


def _remainder_unit(high: Tensor) -> Tensor:
    """Half a unit in the last place of float16 at each value, divided by the 127 steps of an int8."""
    exponent = torch.frexp(high).exponent
    half_ulp = torch.ldexp(torch.ones_like(high), (exponent - 12).clamp(min=-25))
    return half_ulp / 127


def pack24(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(high float16, low int8) of a float32 tensor within float16's range."""
    high = weight.half()
    low = ((weight - high.float()) / _remainder_unit(high.float())).round().clamp(-127, 127).to(torch.int8)
    return high, low


def unpack24(high: Tensor, low: Tensor) -> Tensor:
    """float32 again; at most 2**-19 away relative to the original."""
    wide = high.float()
    return wide + low.float() * _remainder_unit(wide)


def pack_delta(adapted_RC: Tensor, original_RC: Tensor) -> tuple[Tensor, Tensor]:
    """(delta int8, scale_R1 float32): adapted = original + delta x scale, row by row."""
    difference_RC = adapted_RC - original_RC
    scale_R1 = difference_RC.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
    return (difference_RC / scale_R1).round().to(torch.int8), scale_R1


def unpack_delta(original_RC: Tensor, delta_RC: Tensor, scale_R1: Tensor) -> Tensor:
    return original_RC + delta_RC.float() * scale_R1
