"""What a text costs: floating-point operations of the encoder, 2 per multiply-add of a matrix product.

Normalisation, GELU, softmax and adding are left out on both sides (under 2 % of the dense encoder). The
pooling and the head cost the same in every mode and are left out too.
"""

from moe_core.model.encoder import EncoderConfig


def shared_flops(config: EncoderConfig, n_tokens: int) -> int:
    """Attention of one text: projections of every token, and every token against every token."""
    d = config.d_model
    return 2 * config.n_layers * (n_tokens * 4 * d * d + 2 * n_tokens * n_tokens * d)


def dense_flops(config: EncoderConfig, n_tokens: int) -> int:
    """The dense original on one text of n_tokens."""
    return shared_flops(config, n_tokens) + 2 * config.n_layers * n_tokens * 2 * config.d_model * config.d_hidden


def routed_flops(config: EncoderConfig, n_tokens: int, n_executed: int) -> int:
    """The adapted model: shared parts, routers, and `n_executed` (token, layer, expert) pairs that really ran."""
    router = config.d_model * config.router_hidden + config.router_hidden * config.n_experts
    expert = 2 * config.d_model * (config.d_hidden // config.n_experts)
    return shared_flops(config, n_tokens) + 2 * (config.n_layers * n_tokens * router + n_executed * expert)
