"""A routed layer computed whole: every expert on every token, idle ones weighted 0, in two prepared products.

For few tokens that is the fastest way (`dispatch.py`). It may only be taken while the idle experts' weights are
sound, so that 0 times their output is 0 and nothing else.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from moe_core.model.prepared import prepare, product


@dataclass(frozen=True, slots=True)
class PreparedWhole:
    """All experts, their mean outputs and the router in two products: every operation saved is 10 us of a short text.

    Column blocks of the hidden values: per expert its neurons and one constant (w1 row 0, GELU of its bias),
    whose row of w2 is minus the mean output; after all experts the router's hidden neurons and zeros. So one
    multiplication by the gates weighs both. base_D: bias of the second product. router: the router's second map,
    transposed, below a row that makes its bias of the last expert's constant; it reads columns `router_from` to
    `router_to`. None where the router's weights are of another type. usable: whether every expert is sound, so that
    idle ones may be multiplied with 0.
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    base_D: Tensor
    block: int  # columns of an expert
    router_from: int
    router_to: int
    router: Tensor | None
    usable: bool

    def read(self, x_TD: Tensor) -> tuple[Tensor, Tensor]:
        """(logits_TE, hidden_TX to be handed to `finish`)."""
        assert self.router is not None
        hidden_TX = product(x_TD, self.w1, self.b1, gelu=True)
        return hidden_TX[:, self.router_from : self.router_to] @ self.router, hidden_TX

    def finish(self, hidden_TX: Tensor, gates_TE: Tensor) -> Tensor:
        """Output y_TD of all experts, weighted; writes over hidden_TX."""
        shape = (*gates_TE.shape, self.block)
        hidden_TX.as_strided(shape, (hidden_TX.shape[1], self.block, 1)).mul_(gates_TE.unsqueeze(2))
        return product(hidden_TX, self.w2, self.base_D)

    def run(self, x_TD: Tensor, gates_TE: Tensor) -> Tensor:
        """Both halves, for up to WHOLE_BLOCK tokens."""
        return self.finish(product(x_TD, self.w1, self.b1, gelu=True), gates_TE)


def prepare_whole(
    w1_HD: Tensor, b1_H: Tensor, w2_HD: Tensor, b2_D: Tensor, mean_ED: Tensor,
    inner_RD: Tensor, inner_R: Tensor, outer_ER: Tensor, outer_E: Tensor,
) -> PreparedWhole:  # fmt: skip
    (n_experts, d_model), same = mean_ED.shape, inner_RD.dtype == w1_HD.dtype
    block = len(w1_HD) // n_experts + 1
    n_neurons, n_read = n_experts * block, len(inner_RD) if same else 0
    width = -(-(n_neurons + n_read) // 16) * 16
    w1_XD, b1_X, w2_XD = w1_HD.new_zeros(width, d_model), b1_H.new_zeros(width), w2_HD.new_zeros(width, d_model)
    w1_EFD, b1_EF, w2_EFD = (part[:n_neurons].view(n_experts, block, *part.shape[1:]) for part in (w1_XD, b1_X, w2_XD))
    w1_EFD[:, :-1] = w1_HD.view(n_experts, block - 1, d_model)
    w2_EFD[:, :-1] = w2_HD.view(n_experts, block - 1, d_model)
    b1_EF[:, :-1] = b1_H.view(n_experts, block - 1)
    b1_EF[:, -1] = 1.0
    constant_E1 = F.gelu(b1_EF[:, -1:])
    w2_EFD[:, -1] = -mean_ED / constant_E1
    router = torch.cat([outer_E.unsqueeze(0) / constant_E1[-1], outer_ER.t()]) if same else None
    if same:
        w1_XD[n_neurons : n_neurons + n_read], b1_X[n_neurons : n_neurons + n_read] = inner_RD, inner_R
    return PreparedWhole(
        w1=prepare(w1_XD), b1=b1_X, w2=prepare(w2_XD.t()), base_D=b2_D + mean_ED.sum(dim=0),
        block=block, router_from=n_neurons - 1, router_to=n_neurons + n_read,
        router=router,
        usable=all(sound_experts(w1_HD, b1_H, w2_HD, n_experts)),
    )  # fmt: skip


def sound_experts(w1_HD: Tensor, b1_H: Tensor, w2_HD: Tensor, n_experts: int) -> tuple[bool, ...]:
    """For every expert whether its weights are numbers of a size (below 1e6) that cannot become infinite on the way."""
    sizes = [tensor.float().abs().nan_to_num(nan=torch.inf).view(n_experts, -1).amax(dim=1) for tensor in
             (w1_HD, b1_H, w2_HD)]  # fmt: skip
    return tuple(bool(size < 1e6) for size in torch.stack(sizes).amax(dim=0))
