"""Feed-forward layers: the dense original, and the same neurons grouped into experts.

Both keep W1 as (neurons, D) and W2 as (neurons, D), the second one transposed, so that the neurons of an
expert are one contiguous block of rows in both and an expert is a view: weights are never copied.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_core.model.router import Router, RouterConfig, Routing


class DenseFeedForward(nn.Module):
    """GELU feed-forward block of the original model: x W1' + b1, GELU, times W2, + b2."""

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.w1_HD = nn.Parameter(torch.empty(d_hidden, d_model))
        self.b1_H = nn.Parameter(torch.zeros(d_hidden))
        self.w2_HD = nn.Parameter(torch.empty(d_hidden, d_model))
        self.b2_D = nn.Parameter(torch.zeros(d_model))

    def forward(self, x_TD: Tensor) -> Tensor:
        return torch.addmm(self.b2_D, F.gelu(F.linear(x_TD, self.w1_HD, self.b1_H)), self.w2_HD)

    def multiply_adds_per_token(self) -> int:
        return 2 * self.w1_HD.numel()


class ExpertFeedForward(DenseFeedForward):
    """The same block with its neurons grouped into E experts of equal size and a router in front.

    An expert that does not run contributes its mean output `mean_ED` instead of nothing: with all experts on,
    the means cancel and the block computes what the dense block computes.
    """

    def __init__(self, d_model: int, d_hidden: int, router: RouterConfig) -> None:
        super().__init__(d_model, d_hidden)
        if d_hidden % router.n_experts:
            raise ValueError(f"{d_hidden} neurons do not divide into {router.n_experts} experts of equal size.")
        self.n_experts = router.n_experts
        self.expert_width = d_hidden // router.n_experts
        self.mean_ED = nn.Parameter(torch.zeros(router.n_experts, d_model))
        self.router: Router = router.build()

    def forward_routed(self, x_TD: Tensor, routing: Routing) -> Tensor:
        """Runs only the experts with a gate above 0: tokens are sorted by expert, weights are used in place."""
        gates_ET = routing.gates_TE.T
        expert_N, token_N = gates_ET.nonzero(as_tuple=True)
        if len(expert_N) == gates_ET.numel() and bool((gates_ET == 1).all()):
            return self.forward(x_TD)
        counts_E = torch.bincount(expert_N, minlength=self.n_experts).tolist()
        x_ND = x_TD[token_N]
        y_ND = torch.empty_like(x_ND)
        start = 0
        for expert, count in enumerate(counts_E):
            if count:
                rows = slice(start, start + count)
                neurons = slice(expert * self.expert_width, (expert + 1) * self.expert_width)
                hidden_NF = F.gelu(F.linear(x_ND[rows], self.w1_HD[neurons], self.b1_H[neurons]))
                torch.mm(hidden_NF, self.w2_HD[neurons], out=y_ND[rows])
                y_ND[rows] -= self.mean_ED[expert]
                start += count
        y_ND *= gates_ET[expert_N, token_N].unsqueeze(1)
        base_D = self.b2_D + self.mean_ED.sum(dim=0)
        return base_D.expand(len(x_TD), -1).clone().index_add_(0, token_N, y_ND)

    def forward_masked(self, x_TD: Tensor, gates_TE: Tensor, *, norms_every: int = 1) -> tuple[Tensor, Tensor]:
        """Training path: all experts are computed, then weighted. Returns (y_TD, norms_NE).

        norms_NE = norm of (expert output - its mean) for every `norms_every`-th token, computed with the Gram matrix
        of W2 so that the (T, E, D) outputs are never held in memory. Differentiable in both.
        """
        hidden_TH = F.gelu(F.linear(x_TD, self.w1_HD, self.b1_H))
        hidden_TEF = hidden_TH.view(len(x_TD), self.n_experts, self.expert_width)
        with torch.autocast("cpu", enabled=False):  # squares that nearly cancel need float32
            squared_NE = self._squared_norms(hidden_TEF[::norms_every].float())
        weighted_TH = (hidden_TEF * gates_TE.unsqueeze(2)).reshape(len(x_TD), -1)
        y_TD = torch.addmm(self.b2_D, weighted_TH, self.w2_HD) + (1 - gates_TE) @ self.mean_ED
        return y_TD, squared_NE.clamp(min=1e-8).sqrt()

    def _squared_norms(self, hidden_TEF: Tensor) -> Tensor:
        w2_EFD = self.w2_HD.view(self.n_experts, self.expert_width, -1)
        hidden_ETF = hidden_TEF.transpose(0, 1)
        gram_EFF = torch.bmm(w2_EFD, w2_EFD.transpose(1, 2))
        cross_EF = torch.bmm(w2_EFD, self.mean_ED.unsqueeze(2)).squeeze(2)
        squared_ET = ((torch.bmm(hidden_ETF, gram_EFF) - 2 * cross_EF.unsqueeze(1)) * hidden_ETF).sum(dim=2)
        return squared_ET.T + self.mean_ED.pow(2).sum(dim=1)

    def multiply_adds_per_expert(self) -> int:
        """For one token and one expert."""
        return 2 * self.expert_width * self.w1_HD.shape[1]
