"""A routed layer of a short text: read, decided and weighted in one compiled call if that was built, else by PyTorch.

Both ways compute the same, to rounding. Which one is used follows from what is installed, not from the text, so a text
answered twice on one machine is answered the same bit for bit.
"""


import torch
from torch import Tensor

from moe_core.compiled import compiled
from moe_core.model.prepared import product
from moe_core.model.router import Routing, Thresholds, decide_at, nobody
from moe_core.model.whole import PreparedWhole

_BUILT = compiled("moe_core.model._short_text")
WEIGH = None if _BUILT is None else _BUILT.weigh


def run(whole: PreparedWhole, x_TD: Tensor, thresholds: Thresholds) -> tuple[Tensor, Routing]:
    """Output y_TD of the layer, and what was decided, where the strongest expert always passes and none is lost."""
    router_RE, n_experts = whole.router, len(thresholds.values_E)
    assert router_RE is not None
    assert n_experts == router_RE.shape[1]
    if WEIGH is None or x_TD.dtype != torch.float32:
        logits_TE, hidden_TX = whole.read(x_TD)
        routing = decide_at(logits_TE, thresholds)
        return whole.finish(hidden_TX, routing.gates_TE), routing
    hidden_TX = product(x_TD, whole.w1, whole.b1, gelu=True)
    n_tokens = len(x_TD)
    result = torch.empty(3, n_tokens, n_experts)
    at, step = result.data_ptr(), 4 * n_tokens * n_experts
    WEIGH(hidden_TX.data_ptr(), n_tokens, hidden_TX.shape[1], router_RE.data_ptr(), len(router_RE), n_experts,
          whole.router_from, whole.block, thresholds.values_E.data_ptr(), thresholds.fade_E.data_ptr(),
          at, at + step, at + 2 * step)  # fmt: skip
    logits_TE, scores_TE, gates_TE = result.unbind(0)
    routing = Routing(logits_TE, scores_TE, thresholds.values_E, gates_TE, nobody(n_tokens))
    return product(hidden_TX, whole.w2, whole.base_D), routing
