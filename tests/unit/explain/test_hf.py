"""Decisions of Hugging Face models made from a configuration, taken apart and checked by really removing things."""

from typing import Any

import numpy as np
import pytest
import torch

from moe_core.errors import AdapterError, InputError
from moe_core.explain.hf import explain_hf, explain_traced
from moe_core.explain.hf_trace import HfTrace, trace_hf

transformers = pytest.importorskip("transformers")
SIZES = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
FAMILIES = {
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {"num_local_experts": 8, "num_experts_per_tok": 2}),
    "qwen3_moe": (
        "Qwen3MoeConfig", "Qwen3MoeForCausalLM",
        {"num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 32, "head_dim": 16,
         "mlp_only_layers": [1]},
    ),
    "olmoe": ("OlmoeConfig", "OlmoeForCausalLM", {"num_experts": 16, "num_experts_per_tok": 4}),
    "qwen2_moe": (
        "Qwen2MoeConfig", "Qwen2MoeForCausalLM",
        {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
         "shared_expert_intermediate_size": 32},
    ),
}  # fmt: skip


def a_model(family: str, **more: Any) -> Any:
    config, model, sizes = FAMILIES[family]
    torch.manual_seed(5)
    made = getattr(transformers, model)(getattr(transformers, config)(**SIZES, **sizes, **more))
    with torch.no_grad():
        for name, parameter in made.named_parameters():  # larger weights: margins are not all alike
            if parameter.dim() > 1:
                parameter.mul_(4 if "embed" not in name else 20)
            elif "norm" in name:
                parameter.uniform_(0.5, 1.5)
    return made.float().eval()


def ids(n: int, seed: int = 0) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).integers(0, 300, n)]


def really_without(model: Any, trace: HfTrace, layer: int, position: int, part: int) -> set[int]:
    """The experts chosen when the part is taken out of the norm's input, by the model's own norm and router."""
    routed = trace.layers[layer]
    return choice_of(model, layer, (routed.input_TD[position] - routed.parts[part].vectors_TD[position])[None])[0]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_shares_sum_and_removals_come_true_in_the_model(family: str) -> None:
    """For every expert of some tokens in all routed layers: sums within 1e-4, removals as the router really decides."""
    model = a_model(family)
    trace = trace_hf(model, ids(24))
    rng, flips = np.random.default_rng(3), 0
    for layer, position in [(layer, int(p)) for layer in trace.layers for p in rng.integers(0, 24, 4)]:
        for expert in range(trace.layers[layer].logits_TE.shape[1]):
            found = explain_traced(trace, position=position, layer=layer, expert_id=expert)
            assert found.method == "exact"
            assert found.completeness_error <= 1e-4
            total = sum(c.contribution for c in found.contributions)
            assert abs(total - found.margin) <= 1e-4 * np.ptp([e.logit for e in found.experts])
            by_place = {(c.kind, c.layer, c.index): c for c in found.contributions}
            for part in rng.integers(0, len(trace.layers[layer].parts), 8):
                place = trace.layers[layer].parts[part]
                predicted = by_place[place.kind, place.layer, place.index].runs_without
                assert predicted == (expert in really_without(model, trace, layer, position, int(part)))
                flips += predicted != found.runs
    assert flips > 10


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_smallest_change_turns_the_choice_of_the_models_own_router(family: str) -> None:
    """At 1.001 x one expert gives way to another, at .999 x none does."""
    model = a_model(family)
    trace = trace_hf(model, ids(16, seed=1))
    for layer, routed in trace.layers.items():
        for position in range(16):
            flip = explain_traced(trace, position=position, layer=layer).flip
            found = routed.router.smallest_set_change(routed.input_TD[position])
            assert found is not None
            change_D, leaves, enters = found
            assert (flip.leaves, flip.enters, flip.distance) == (leaves, enters, np.linalg.norm(change_D))
            before = set(routed.ids_TK[position].tolist())
            inputs = routed.input_TD[position] + np.outer([0.999, 1.001], change_D)
            assert choice_of(model, layer, inputs) == [before, (before - {leaves}) | {enters}]


def choice_of(model: Any, layer: int, inputs_ND: np.ndarray) -> list[set[int]]:
    """What the model's own norm and router choose."""
    decoder = model.model.layers[layer]
    with torch.inference_mode():
        chosen = decoder.mlp.gate(decoder.post_attention_layernorm(torch.from_numpy(inputs_ND).float()))[2]
    return [set(row) for row in chosen.tolist()]


def test_a_shared_expert_is_a_part_of_its_own() -> None:
    """Qwen2-MoE adds a shared expert to every token; it is named, and the sums hold with it."""
    trace = trace_hf(a_model("qwen2_moe"), ids(8))
    assert {"shared expert"} <= {part.kind for part in trace.layers[3].parts}


def test_a_dense_layer_is_named_as_such() -> None:
    """Layer 1 of the Qwen3 model has no router."""
    with pytest.raises(InputError, match="Layer 1 of this model is dense"):
        explain_hf(a_model("qwen3_moe"), ids(4), position=0, layer=1)


@pytest.mark.parametrize(("place", "match"), [({"layer": 9}, "no layer 9"), ({"position": 7}, "no position 7"),
                                              ({"expert_id": 8}, "no expert 8")])  # fmt: skip
def test_a_place_that_does_not_exist_is_told(place: dict[str, int], match: str) -> None:
    """One sentence with what there is."""
    with pytest.raises(InputError, match=match):
        explain_hf(a_model("mixtral"), ids(4), **({"position": 0, "layer": 0} | place))


def test_a_router_with_groups_and_a_selection_bias_gets_no_counterfactuals() -> None:
    """DeepSeek-V3 chooses by sigmoid plus a bias inside groups: shares only, labelled, or a refusal."""
    config = transformers.DeepseekV3Config(
        **(SIZES | {"num_key_value_heads": 4}), n_routed_experts=8, num_experts_per_tok=2, n_group=2, topk_group=1,
        moe_intermediate_size=32, first_k_dense_replace=1, q_lora_rank=32, kv_lora_rank=32, qk_rope_head_dim=8,
        qk_nope_head_dim=8, v_head_dim=16, n_shared_experts=1,
    )  # fmt: skip
    torch.manual_seed(2)
    model = transformers.DeepseekV3ForCausalLM(config).float().eval()
    for name, buffer in model.named_buffers():
        if "correction_bias" in name:
            buffer.normal_()
    found = explain_hf(model, ids(12), position=5, layer=2)
    assert found.method == "direct effect, frozen norm"
    assert found.flip.distance is None
    assert all(c.runs_without is None for c in found.contributions)


def test_a_model_without_experts_is_refused_in_one_sentence() -> None:
    """A dense Llama has nothing to explain."""
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).float().eval()
    with pytest.raises(AdapterError, match="no router was called"):
        explain_hf(model, ids(4), position=0, layer=0)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "olmoe"])
def test_ten_thousand_decisions_come_true(family: str) -> None:
    """Completeness, every removal and the smallest change on at least 10,000 decisions of each family."""
    model = a_model(family)
    decisions = worst = wrong = missed = removals = 0.0
    for seed in range(34):
        trace = trace_hf(model, ids(100, seed=seed))
        for layer, routed in trace.layers.items():
            decoder = model.model.layers[layer]
            gate, norm = decoder.mlp.gate, decoder.post_attention_layernorm
            for position in range(100):
                parts_CD = np.stack([part.vectors_TD[position] for part in routed.parts])
                rest = torch.from_numpy(routed.input_TD[position] - parts_CD).float()
                with torch.inference_mode():
                    chosen_CK = gate(norm(rest))[2].numpy()
                margins_CE = routed.router.margins(routed.router.logits_without_CE(parts_CD))
                real_CE = np.zeros_like(margins_CE, dtype=bool)
                np.put_along_axis(real_CE, chosen_CK, values=True, axis=1)
                wrong += int(((margins_CE > 0) != real_CE).sum())
                removals += real_CE.size
                found = explain_traced(trace, position=position, layer=layer)
                worst = max(worst, found.completeness_error)
                swap = routed.router.smallest_set_change(routed.input_TD[position])
                assert swap is not None
                before = set(routed.ids_TK[position].tolist())
                after = choice_of(model, layer, routed.input_TD[position] + np.outer([0.999, 1.001], swap[0]))
                missed += after[0] != before or after[1] == before
                decisions += 1
    print(f"\n{family}: {decisions:.0f} decisions, worst completeness error {worst:.1e}, {wrong:.0f} wrong of "
          f"{removals:.0f} removals, {missed:.0f} smallest changes missed")  # fmt: skip
    assert decisions >= 10_000
    assert worst <= 1e-4
    assert wrong == 0
    assert missed <= 0.001 * decisions
