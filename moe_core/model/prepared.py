"""Weights in the layout that oneDNN multiplies fastest, made once and made again when a weight changes.

A plain product rearranges its weight matrix on every call. For one short text that costs more than the
multiplying: (19, 384) x (384, 1536) took 500 us plain and 215 us prepared on one core of an AMD EPYC; a block of
dense feed-forward work on 8,000 tokens fell from 243 to 176 ms. Both the dense original and the adaptive model use
it. The price is a second copy of the weight in memory. Where PyTorch was built without oneDNN, under autocast and
where gradients are recorded, the plain product gives the same numbers to rounding.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils.flop_counter import register_flop_formula

T = TypeVar("T")
ROWS_HINT = 128  # rows that oneDNN lays the weight out for; from 16 up all hints gave one and the same layout
DTYPES = (torch.float32, torch.bfloat16)
WRITES = attrgetter(
    "_version"
)  # looked up by map, in C: asked in a loop of Python, nine tensors cost 2 % of a short text


def _operators() -> tuple[Any, Any] | None:
    """(reorder, linear) of oneDNN, or None where this PyTorch lacks them."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    try:
        return torch.ops.mkldnn._reorder_linear_weight, torch.ops.mkldnn._linear_pointwise.default
    except AttributeError:
        return None


OPERATORS = _operators()

if OPERATORS is not None:

    @register_flop_formula(torch.ops.mkldnn._linear_pointwise)
    def _linear_flops(x_shape: Any, weight_shape: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        """So that PyTorch's counter of executed products sees prepared ones too."""
        return 2 * int(torch.Size(x_shape).numel()) * int(weight_shape[0])


class Derived(Generic[T]):
    """A value computed from tensors, kept until one of them is replaced or written to. Never saved or copied."""

    __slots__ = ("_key", "_make", "_value")

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._key: list[int] | None = None
        self._value: T | None = None

    def of(self, *tensors: Tensor, make: Callable[..., T] | None = None) -> T:
        """The value for these tensors. `make`: takes the place of the function given at the start."""
        make = make or self._make
        try:
            key = [*map(Tensor.data_ptr, tensors), *map(WRITES, tensors)]
        except RuntimeError:  # an inference tensor: PyTorch does not count writes to these
            return make(*tensors)
        value = self._value
        if value is None or key != self._key:
            with torch.no_grad():
                value = make(*tensors)
            self._value, self._key = value, key
        return value

    def __deepcopy__(self, memo: Any) -> "Derived[T]":
        return Derived(self._make)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Derived, (self._make,))


def can_prepare(x_TD: Tensor, weight: Tensor) -> bool:
    """Whether a product of these two may use a prepared weight."""
    return (
        OPERATORS is not None
        and x_TD.dtype == weight.dtype
        and weight.dtype in DTYPES
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def prepare(weight_OI: Tensor) -> Tensor:
    """The prepared copy of a weight of shape (outputs, inputs); only `product` understands it."""
    assert OPERATORS is not None
    with torch.inference_mode():
        packed: Tensor = OPERATORS[0](weight_OI.detach().contiguous(), ROWS_HINT)
    return packed


def product(x_TI: Tensor, prepared_OI: Tensor, bias_O: Tensor | None, *, gelu: bool = False) -> Tensor:
    """x W' + bias, and GELU of it if asked: shape (T, outputs)."""
    assert OPERATORS is not None
    result: Tensor = OPERATORS[1](x_TI, prepared_OI, bias_O, "gelu" if gelu else "none", [], "none" if gelu else "")
    return result


class Replacements:
    """Counts parameters and parts that any module was given: while the count stands, tensors found in a module before
    are still those of the module. To find them again in six layers costs a short text 1 %."""

    def __init__(self) -> None:
        self.count = 0
        register_module_parameter_registration_hook(self._one_more)
        register_module_module_registration_hook(self._one_more)

    def _one_more(self, *_: object) -> None:
        self.count += 1


REPLACEMENTS = Replacements()


class PreparedLinear(nn.Linear):
    """`nn.Linear` with the same parameters and names that multiplies with a prepared weight when it may."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self._prepared = Derived(prepare)

    def forward(self, input: Tensor) -> Tensor:
        if can_prepare(input, self.weight):
            return product(input, self._prepared.of(self.weight), self.bias)
        return F.linear(input, self.weight, self.bias)
