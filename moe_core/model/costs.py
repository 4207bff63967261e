"""What a text costs: floating-point operations of the encoder, 2 per multiply-add of a matrix product.

Normalisation, GELU, softmax and adding are left out on both sides (under 2 % of the dense encoder). The
pooling and the head cost the same in every mode and are left out too.
"""

from moe_core.model.encoder import FUSED_FROM, EncoderConfig


def attention_flops(config: EncoderConfig, n_tokens: int, query_width: int) -> int:
    """Attention of one text: projections of every token, and every token against every token.

    `query_width`: width of one query (and key) head, see `narrow.py`; in long texts narrow heads are padded.
    """
    d, narrow = config.d_model, config.n_heads * query_width
    per_token = 2 * d * narrow + 2 * d * d  # queries and keys; values and output
    scores = d if n_tokens >= FUSED_FROM else narrow
    return 2 * config.n_layers * (n_tokens * per_token + n_tokens * n_tokens * (scores + d))


def dense_flops(config: EncoderConfig, n_tokens: int) -> int:
    """The dense original on one text of n_tokens."""
    attention = attention_flops(config, n_tokens, config.d_model // config.n_heads)
    return attention + 2 * config.n_layers * n_tokens * 2 * config.d_model * config.d_hidden


def routed_flops(config: EncoderConfig, n_tokens: int, n_executed: int) -> int:
    """The adapted model: shared parts, routers, and the `n_executed` (token, layer, expert) pairs that routing chose.

    What routing asks for is a property of the text and the setting. For short texts the dispatch may multiply more,
    since that is faster (`dispatch.py`); `routelens bench model` counts what is really multiplied beside it.
    """
    router = config.d_model * config.router_hidden + config.router_hidden * config.n_experts
    expert = 2 * config.d_model * (config.d_hidden // config.n_experts)
    all_on = n_executed == config.n_layers * n_tokens * config.n_experts  # then the means cancel
    means = 0 if all_on else config.n_experts * config.d_model
    shared = attention_flops(config, n_tokens, config.query_width)
    return shared + 2 * (config.n_layers * n_tokens * (router + means) + n_executed * expert)
