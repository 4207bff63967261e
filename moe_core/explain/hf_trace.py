"""One forward pass of a Hugging Face MoE, taken apart: what every router's input is a sum of.

Nothing is known of a family beforehand. Where modules lie is looked up, and every claim is checked by value on the pass
itself: that the parts sum to what the norm read, that norm and router are the formulas of `linear_router`, and that the
chosen experts are the k largest logits. What does not check is refused, or explained without counterfactuals.

Shape letters: T tokens, D width, E experts, K chosen a token.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moe_core.errors import AdapterError, InputError
from moe_core.explain.decision import Kind
from moe_core.explain.linear_router import LinearRouter

TOLERANCE = 1e-4  # relative to the size of what is compared


@dataclass(frozen=True, slots=True)
class Part:
    """One component of the residual stream for all tokens: vectors_TD float64."""

    kind: Kind
    layer: int | None
    index: int | None
    vectors_TD: NDArray[np.float64]


@dataclass(slots=True)
class RoutedLayer:
    """One routed layer: what its norm read is the sum of `parts`; `exact`: the choice is the k largest logits."""

    router: LinearRouter
    parts: list[Part]
    input_TD: NDArray[np.float64]
    logits_TE: NDArray[np.float64]
    ids_TK: NDArray[np.int64]
    weights_TK: NDArray[np.float64]
    exact: bool


@dataclass(slots=True)
class HfTrace:
    """All routed layers of one text, by the number of the decoder layer; `dense`: decoder layers without a router."""

    family: str
    n_tokens: int
    layers: dict[int, RoutedLayer] = field(default_factory=dict)
    dense: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Seen:
    """What the hooks of one decoder layer saw."""

    mixed_TD: Tensor | None = None  # what the output projection of attention read
    norm_input_TD: Tensor | None = None
    router: tuple[Tensor, Any] | None = None
    experts: tuple[Tensor, Tensor, Tensor] | None = None
    block_TD: Tensor | None = None


def trace_hf(model: nn.Module, input_ids: Any) -> HfTrace:
    """Runs `input_ids` (one text) through a causal model of `transformers` in float32 and takes it apart.

    Raises InputError for ids that cannot be run, AdapterError for a family that is built otherwise.
    """
    ids = torch.as_tensor(input_ids, dtype=torch.int64).reshape(1, -1)
    if ids.numel() == 0:
        raise InputError("There are no token ids to explain: give at least one.")
    family = str(getattr(getattr(model, "config", None), "model_type", type(model).__name__))
    body = getattr(model, "model", model)
    layers, embeddings = getattr(body, "layers", None), getattr(body, "embed_tokens", None)
    if layers is None or embeddings is None:
        raise AdapterError(
            f"Family {family!r}: no list of decoder layers with embeddings in front; it cannot be taken apart."
        )
    if next(model.parameters()).dtype != torch.float32 or model.training:
        raise InputError("Explanations need the model in float32 and in eval mode: call model.float().eval() first.")
    seen, first = [_Seen() for _ in layers], list[Tensor]()
    handles = [layers[0].register_forward_pre_hook(_first_input(first), with_kwargs=True)]
    try:
        for layer, into in zip(layers, seen, strict=True):
            handles += _watch(family, layer, into)
        with torch.inference_mode():
            model(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    trace = HfTrace(family, ids.shape[1])
    parts = [Part("word", None, None, _rows(first[0]))]
    for number, (layer, into) in enumerate(zip(layers, seen, strict=True)):
        parts = [*parts, *_heads(family, number, layer, into)]
        assert into.norm_input_TD is not None
        read_TD = _rows(into.norm_input_TD)
        if not _close(sum(part.vectors_TD for part in parts), read_TD):
            raise AdapterError(
                f"Family {family!r}, layer {number}: embeddings, heads and experts do not sum to what the norm reads, "
                "so the model adds something else; its decisions cannot be taken apart."
            )
        if into.router is None:
            trace.dense.append(number)
            assert into.block_TD is not None
            parts.append(Part("dense block", number, None, _rows(into.block_TD)))
            continue
        trace.layers[number] = _routed(family, number, layer, into, parts, read_TD)
        parts = [*parts, *_experts(number, layer, into)]
    if not trace.layers:
        raise AdapterError(f"Family {family!r}: no router was called; this model has no experts to explain.")
    return trace


def _first_input(into: list[Tensor]) -> Callable[..., None]:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        into.append((args[0] if args else kwargs["hidden_states"]).detach())

    return hook


def _watch(family: str, layer: nn.Module, into: _Seen) -> list[Any]:
    """Hooks on the five places of one decoder layer."""
    attention, norm = getattr(layer, "self_attn", None), getattr(layer, "post_attention_layernorm", None)
    block = getattr(layer, "mlp", None) or getattr(layer, "block_sparse_moe", None)
    output = getattr(attention, "o_proj", None)
    if output is None or norm is None or block is None:
        raise AdapterError(
            f"Family {family!r}: a decoder layer lacks self_attn.o_proj, post_attention_layernorm or mlp; it cannot be "
            "taken apart."
        )

    def mixed(_: nn.Module, args: tuple[Any, ...]) -> None:
        into.mixed_TD = args[0].detach()

    def normed(_: nn.Module, args: tuple[Any, ...]) -> None:
        into.norm_input_TD = args[0].detach()

    def blocked(_: nn.Module, __: Any, out: Any) -> None:
        into.block_TD = (out[0] if isinstance(out, tuple) else out).detach()

    handles = [output.register_forward_pre_hook(mixed), norm.register_forward_pre_hook(normed)]
    handles.append(block.register_forward_hook(blocked))
    router, experts = getattr(block, "gate", None) or getattr(block, "router", None), getattr(block, "experts", None)
    if router is not None and experts is not None:

        def routed(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            into.router = (args[0].detach(), out)

        def asked(_: nn.Module, args: tuple[Any, ...]) -> None:
            into.experts = (args[0].detach(), args[1].detach(), args[2].detach())

        handles += [router.register_forward_hook(routed), experts.register_forward_pre_hook(asked)]
    return handles


def _heads(family: str, number: int, layer: Any, into: _Seen) -> list[Part]:
    """Each attention head's slice of the output projection, and its bias."""
    attention, output = layer.self_attn, layer.self_attn.o_proj
    width = getattr(attention, "v_head_dim", None) or getattr(attention, "head_dim", None)
    if into.mixed_TD is None or not width or output.in_features % width:
        raise AdapterError(f"Family {family!r}, layer {number}: attention heads cannot be told apart.")
    mixed = _rows(into.mixed_TD)
    weight = output.weight.detach().double().numpy()
    columns = [slice(start, start + width) for start in range(0, output.in_features, width)]
    parts = [Part("head", number, head, mixed[:, at] @ weight[:, at].T) for head, at in enumerate(columns)]
    if output.bias is not None:
        bias_D = output.bias.detach().double().numpy()
        parts.append(Part("bias", number, None, np.broadcast_to(bias_D, (len(mixed), len(bias_D)))))
    return parts


def _routed(
    family: str, number: int, layer: Any, into: _Seen, parts: list[Part], read_TD: NDArray[np.float64]
) -> RoutedLayer:
    """The layer's router with its checks. Raises AdapterError where norm or logits follow another formula."""
    assert into.router is not None
    if into.experts is None or into.experts[1].dim() != 2:
        raise AdapterError(f"Family {family!r}, layer {number}: the experts were not told which of them are chosen.")
    block = getattr(layer, "mlp", None) or layer.block_sparse_moe
    gate, norm = getattr(block, "gate", None) or block.router, layer.post_attention_layernorm
    normed_TD, out = into.router
    weight, gamma = getattr(gate, "weight", None), getattr(norm, "weight", None)
    logits = out[0] if isinstance(out, tuple) else out
    if weight is None or gamma is None or weight.shape[-1] != read_TD.shape[1]:
        raise AdapterError(f"Family {family!r}, layer {number}: router or norm has no weights of the model's width.")
    ids_TK = into.experts[1].reshape(len(read_TD), -1).long().numpy()
    zeros_D, bias = np.zeros(read_TD.shape[1]), getattr(gate, "bias", None)
    beta = getattr(norm, "bias", None)
    router = LinearRouter(
        weight_ED=weight.detach().double().numpy(),
        bias_E=np.zeros(len(weight)) if bias is None else bias.detach().double().numpy(),
        gamma_D=gamma.detach().double().numpy(),
        beta_D=zeros_D if beta is None else beta.detach().double().numpy(),
        eps=float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0))),
        centred=isinstance(norm, nn.LayerNorm),
        top_k=ids_TK.shape[1],
    )
    logits_TE = _rows(logits)
    own_TE = router.logits(read_TD)
    scaled = router.gamma_D * router.project(read_TD) / router.scale(read_TD)[:, None] + router.beta_D
    if logits_TE.shape != own_TE.shape or not _close(scaled, _rows(normed_TD)) or not _close(own_TE, logits_TE):
        raise AdapterError(
            f"Family {family!r}, layer {number}: its logits are not one linear map behind an RMSNorm or LayerNorm, "
            "the only routers that are explained exactly."
        )
    largest_TK = np.argsort(-logits_TE, axis=1, kind="stable")[:, : router.top_k]
    exact = bool((np.sort(largest_TK, axis=1) == np.sort(ids_TK, axis=1)).all())
    weights_TK = into.experts[2].reshape(ids_TK.shape).double().numpy()
    return RoutedLayer(router, list(parts), read_TD, logits_TE, ids_TK, weights_TK, exact)


def _experts(number: int, layer: Any, into: _Seen) -> list[Part]:
    """Each executed expert's weighted output, asked of the model's own experts one by one; what else the block adds."""
    assert into.experts is not None
    assert into.block_TD is not None
    hidden_TD, ids_TK, weights_TK = into.experts
    block = getattr(layer, "mlp", None) or layer.block_sparse_moe
    rest_TD = _rows(into.block_TD).copy()
    parts = []
    for expert in sorted(set(ids_TK.flatten().tolist())):
        token, slot = torch.where(ids_TK == expert)
        with torch.inference_mode():
            weights = weights_TK[token, slot].unsqueeze(1)
            out = block.experts(hidden_TD[token], ids_TK[token, slot].unsqueeze(1), weights)
        vectors_TD = np.zeros_like(rest_TD)
        vectors_TD[token.numpy()] = _rows(out)
        rest_TD -= vectors_TD
        parts.append(Part("expert", number, expert, vectors_TD))
    if not _close(rest_TD + 0.0, np.zeros_like(rest_TD), size=float(np.abs(_rows(into.block_TD)).max())):
        parts.append(Part("shared expert", number, None, rest_TD))
    return parts


def _rows(tensor: Tensor) -> NDArray[np.float64]:
    """(T, width) float64."""
    result: NDArray[np.float64] = tensor.detach().reshape(-1, tensor.shape[-1]).double().numpy()
    return result


def _close(ours: Any, theirs: NDArray[np.float64], *, size: float | None = None) -> bool:
    """Whether the largest difference is below TOLERANCE of the larger one's size."""
    reference = float(np.abs(theirs).max()) if size is None else size
    return bool(np.abs(ours - theirs).max() <= TOLERANCE * max(reference, 1e-12))
