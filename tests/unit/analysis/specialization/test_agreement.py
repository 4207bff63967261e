"""Agreement of layers: 0 without relation, near 1 where one choice follows from the other, documents apart."""

import numpy as np
import pytest

from moe_core.analysis.specialization.agreement import layer_agreement
from moe_core.analysis.specialization.sample import RoutingSample


def top_1(choices_TL: np.ndarray, document_T: np.ndarray, n_experts: int) -> RoutingSample:
    """A sample in which each token ran one expert per layer."""
    n, n_layers = choices_TL.shape
    token, layer = np.divmod(np.arange(n * n_layers), n_layers)
    documents = int(document_T.max()) + 1
    return RoutingSample(
        request_ids=tuple(map(str, range(documents))), domains=(None,) * documents,
        half_D=np.arange(documents) % 2, document_T=document_T, position_T=np.zeros(n, np.int64),
        token_id_T=np.zeros(n, np.int64), is_special_T=np.zeros(n, bool), token_S=token, layer_S=layer,
        expert_S=choices_TL.ravel(), first_TL=choices_TL, n_experts=n_experts, n_decisions=n * n_layers,
        n_run_decisions=n * n_layers,
    )  # fmt: skip


def test_a_layer_that_repeats_the_one_before_is_told_by_it_and_an_independent_one_is_not() -> None:
    """Layer 1 repeats layer 0 with other names, layer 2 is drawn anew."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 8, 4000)
    frame = layer_agreement(
        top_1(np.stack([first, (first + 3) % 8, rng.integers(0, 8, 4000)], axis=1), np.arange(4000) // 40, 8), seed=0
    )
    assert frame["agreement"].iloc[0] == pytest.approx(1.0, abs=0.01)
    assert frame["low"].iloc[1] <= 0.01
    assert abs(frame["agreement"].iloc[1]) < 0.01
    assert (frame["n"] == 4000).all()


def test_what_a_document_explains_is_told_apart() -> None:
    """Every document keeps to one expert in both layers: all of the agreement is the document's."""
    document = np.arange(4000) // 40
    of_document = np.random.default_rng(1).integers(0, 6, 100)
    choices = of_document[document]
    frame = layer_agreement(top_1(np.stack([choices, choices], axis=1), document, 6), seed=0)
    assert frame["document_share"].iloc[0] == pytest.approx(1.0, abs=0.02)


def test_few_tokens_have_no_agreement() -> None:
    """99 tokens: left out."""
    choices = np.zeros((99, 2), np.int64)
    assert layer_agreement(top_1(choices, np.arange(99), 2), seed=0).empty


def test_the_most_specific_expert_is_the_rarest_that_ran() -> None:
    """Expert 0 runs for all three tokens, expert 2 for one of them."""
    sample = top_1(np.zeros((3, 1), np.int64), np.zeros(3, np.int64), 3)
    more = type(sample)(
        **{name: getattr(sample, name) for name in sample.__slots__}
        | {"token_S": np.array([0, 1, 1, 2]), "layer_S": np.zeros(4, np.int64), "expert_S": np.array([0, 2, 0, 0])}
    )
    assert more.most_specific_T(0).tolist() == [0, 2, 0]
