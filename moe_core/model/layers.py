"""Feed-forward layers: the dense original, and the same neurons grouped into experts.

Both keep W1 as (neurons, D) and W2 as (neurons, D), the second one transposed, so that the neurons of an
expert are one contiguous block of rows in both and an expert is a view. How the products are made is a matter of
measured cost and the same for both: `prepared.py` for whole layers, `dispatch.py` for single experts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe_core.model import dispatch
from moe_core.model.dispatch import (
    BLOCK,
    WHOLE_BLOCK,
    Buffers,
    ExpertWeights,
    PreparedPair,
)
from moe_core.model.prepared import Derived, can_prepare, product
from moe_core.model.router import Router, RouterConfig, Routing
from moe_core.model.whole import PreparedWhole, prepare_whole

Begun = tuple[PreparedWhole, Tensor]  # what a product for the router has already computed of the experts


class DenseFeedForward(nn.Module):
    """GELU feed-forward block of the original model: x W1' + b1, GELU, times W2, + b2."""

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.w1_HD = nn.Parameter(torch.empty(d_hidden, d_model))
        self.b1_H = nn.Parameter(torch.zeros(d_hidden))
        self.w2_HD = nn.Parameter(torch.empty(d_hidden, d_model))
        self.b2_D = nn.Parameter(torch.zeros(d_model))
        self._prepared: Derived[PreparedPair] = Derived(dispatch.prepare_pair)

    def forward(self, x_TD: Tensor) -> Tensor:
        if can_prepare(x_TD, self.w1_HD):
            pair = self._prepared.of(self.w1_HD, self.w2_HD)
            if len(x_TD) <= WHOLE_BLOCK:
                return product(product(x_TD, pair.w1, self.b1_H, gelu=True), pair.w2, self.b2_D)
            y_TD = torch.empty_like(x_TD)
            for part in (slice(start, start + WHOLE_BLOCK) for start in range(0, len(x_TD), WHOLE_BLOCK)):
                y_TD[part] = product(product(x_TD[part], pair.w1, self.b1_H, gelu=True), pair.w2, self.b2_D)
            return y_TD
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
        self._weights: Derived[ExpertWeights] = Derived(dispatch.expert_weights)
        self._whole: Derived[PreparedWhole] = Derived(prepare_whole)

    def read(self, x_TD: Tensor, whole: PreparedWhole | None = None) -> tuple[Tensor, Begun | None]:
        """The router's logits_TE. For a few tokens the same product also gives the experts' hidden values, to be handed
        to `forward_routed`; else None. `whole`: what `whole_for` gives, if the caller has asked already."""
        whole = whole or self.whole_for(x_TD)
        if whole is not None and whole.router is not None:
            logits_TE, hidden_TX = whole.read(x_TD)
            return logits_TE, (whole, hidden_TX)
        logits_TE = self.router(x_TD)
        return logits_TE, None

    def whole_for(self, x_TD: Tensor) -> PreparedWhole | None:
        """All experts in two products, if x_TD has so few tokens that nobody asks which were chosen."""
        if len(x_TD) <= dispatch.few_tokens() and can_prepare(x_TD, self.w1_HD):
            whole = self.prepared_whole()
            return whole if whole.usable else None
        return None

    def whole_tensors(self) -> tuple[Tensor, ...]:
        """What the prepared whole is made of."""
        # Plain look-ups: an attribute of a module costs 1 us, and 5 when the weights have just swept the caches.
        maps = self._modules["router"]._modules  # type: ignore[union-attr]
        own, inner, outer = self._parameters, maps["inner"]._parameters, maps["outer"]._parameters  # type: ignore[union-attr]
        return (
            own["w1_HD"], own["b1_H"], own["w2_HD"], own["b2_D"], own["mean_ED"],
            inner["weight"], inner["bias"], outer["weight"], outer["bias"],
        )  # type: ignore[return-value]  # fmt: skip

    def prepared_whole(self) -> PreparedWhole:
        return self._whole.of(*self.whole_tensors())

    def forward_routed(self, x_TD: Tensor, routing: Routing, begun: Begun | None = None) -> Tensor:
        """Runs the experts with a gate above 0, block by block in the way that costs least (`dispatch.py`).

        What an expert that no token chose holds changes no number. `begun`: what `read` gave, used up here. No
        gradients: see `forward_masked`.
        """
        if begun is not None:
            return begun[0].finish(begun[1], routing.gates_TE)
        if torch.is_grad_enabled():
            with torch.no_grad():
                return self.forward_routed(x_TD, routing)
        if torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return self.forward_routed(x_TD.to(self.w1_HD.dtype), routing)
        gates_TE = routing.gates_TE if routing.gates_TE.dtype == x_TD.dtype else routing.gates_TE.to(x_TD.dtype)
        if (whole := self.whole_for(x_TD)) is not None:
            return whole.run(x_TD, gates_TE)
        weights = self._weights.of(self.w1_HD, self.b1_H, self.w2_HD, self.b2_D, self.mean_ED)
        buffers = Buffers(x_TD)
        n_blocks = max(1, round(len(x_TD) / BLOCK))
        if n_blocks == 1:
            return self._run_block(weights, x_TD, gates_TE, buffers)
        y_TD, step = torch.empty_like(x_TD), -(-len(x_TD) // n_blocks)
        for part in (slice(start, start + step) for start in range(0, len(x_TD), step)):
            y_TD[part] = self._run_block(weights, x_TD[part], gates_TE[part], buffers)
        return y_TD

    def _run_block(self, weights: ExpertWeights, x_TD: Tensor, gates_TE: Tensor, buffers: Buffers) -> Tensor:
        counts_E: list[int] = (gates_TE > 0).sum(dim=0).tolist()
        if min(counts_E) == len(x_TD) and bool((gates_TE == 1).all()):
            return self.forward(x_TD)  # the means cancel: what the dense block computes
        may_whole = can_prepare(x_TD, self.w1_HD) and all(map(max, weights.sound, counts_E))
        threads = torch.get_num_threads()
        chosen = dispatch.plan(counts_E, len(x_TD), self.expert_width, threads=threads, whole=may_whole)
        if not chosen.whole:
            return dispatch.run_plan(weights, x_TD, gates_TE, chosen, counts_E, buffers)
        whole = self.prepared_whole()
        if len(x_TD) <= WHOLE_BLOCK:
            return whole.run(x_TD, gates_TE)
        starts = range(0, len(x_TD), WHOLE_BLOCK)
        parts = [slice(start, start + WHOLE_BLOCK) for start in starts]
        return torch.cat([whole.run(x_TD[part], gates_TE[part]) for part in parts])

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
