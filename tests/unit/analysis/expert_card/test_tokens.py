"""Tokens and texts of one expert: a planted specialist is found, a rare token never, texts are ordered honestly."""

import numpy as np
import pytest

from moe_core.analysis.expert_card.requests import LEAST_TOKENS, typical_requests
from moe_core.analysis.expert_card.tokens import expert_tokens, one_expert
from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.word_classes import Vocabulary
from tests.unit.analysis.specialization.simulate import NUMBERS, PIECES, World, sample_of


def sample(documents: list[tuple[list[int], list[int]]]) -> RoutingSample:
    """One layer, expert 0 of 2: (token ids, whether it ran) of each document; expert 1 always runs."""
    document_T = np.repeat(np.arange(len(documents)), [len(ids) for ids, _ in documents])
    token_T = np.concatenate([np.array(ids) for ids, _ in documents]).astype(np.int64)
    ran_T = np.concatenate([np.array(ran) for _, ran in documents]).astype(bool)
    n, own = len(document_T), np.flatnonzero(ran_T)
    position_T = np.concatenate([np.arange(len(ids)) for ids, _ in documents])
    return RoutingSample(
        request_ids=tuple(f"r{i}" for i in range(len(documents))), domains=(None,) * len(documents),
        half_D=np.arange(len(documents)) % 2, document_T=document_T, position_T=position_T, token_id_T=token_T,
        is_special_T=np.zeros(n, bool), token_S=np.concatenate([own, np.arange(n)]),
        layer_S=np.zeros(len(own) + n, np.int64), expert_S=np.concatenate([np.zeros(len(own)), np.ones(n)]).astype(int),
        first_TL=np.ones((n, 1), np.int64), n_experts=2, n_decisions=n, n_run_decisions=2 * n,
    )  # fmt: skip


def test_a_planted_characteristic_token_is_found_and_confirmed() -> None:
    """The expert of layer 1 that runs four times as often for numbers is found by them, not by frequent words."""
    world = World(digit_expert=(1, 2), documents=200, mean_length=40)
    found = expert_tokens(sample_of(world, 3), 1, 2, Vocabulary.of(PIECES))
    confirmed = found.characteristic[found.characteristic["confirmed"].astype(bool)]
    assert ("class", "number") in set(zip(confirmed["kind"], confirmed["value"], strict=True))
    tokens = confirmed[confirmed["kind"] == "token"]
    assert set(tokens["value"].astype(int)) <= set(NUMBERS)
    assert (confirmed["low"] > 1).all()
    assert found.tested > 0


def test_an_expert_without_specialty_has_nothing_confirmed() -> None:
    """Another expert of the same world."""
    world = World(digit_expert=(1, 2), documents=200, mean_length=40)
    found = expert_tokens(sample_of(world, 3), 0, 4, Vocabulary.of(PIECES))
    assert not found.characteristic["confirmed"].astype(bool).any()


def test_a_token_seen_three_times_is_never_characteristic() -> None:
    """It ran each of the three times and for one other token in ten: rarity is no reason."""
    documents = [([5] * 20 + ([9] if i < 3 else []), [1, 1] + [0] * 18 + ([1] if i < 3 else [])) for i in range(40)]
    found = expert_tokens(sample(documents), 0, 0, None)
    assert "9" not in set(found.characteristic["value"])
    frequent = found.frequent.set_index("token_id")
    assert (frequent.loc[9, "runs"], frequent.loc[9, "n"]) == (3, 3)
    assert (frequent.loc[5, "runs"], frequent.loc[5, "n"], frequent.loc[5, "share"]) == (80, 800, 0.1)


def test_erased_tokens_are_not_counted_as_a_token() -> None:
    """Unknown ids (-1) are neither frequent nor characteristic."""
    found = expert_tokens(sample([([-1] * 10, [1] * 10)] * 20), 0, 0, None)
    assert found.frequent.empty
    assert not (found.characteristic["kind"] == "token").any()


def test_texts_are_ordered_by_what_their_length_allows_to_say() -> None:
    """18 of 20 tokens come before 8 of 8; a text of fewer than 8 tokens is not shown; the position is the first run."""
    found = typical_requests(one_expert(sample([
        ([1] * 8, [0, 0] + [1] * 6), ([1] * 40, [0] * 2 + [1] * 38), ([1] * 20, [0] * 20), ([1] * 10, [0] * 9 + [1]),
        ([1] * (LEAST_TOKENS - 1), [1] * (LEAST_TOKENS - 1)),
    ]), 0, 0))  # fmt: skip
    most, least = (found[found["which"] == which].reset_index(drop=True) for which in ("most", "least"))
    assert list(most["request_id"]) == ["r1", "r0"]
    assert list(least["request_id"]) == ["r2", "r3"]
    assert (most.loc[0, "runs"], most.loc[0, "n"], most.loc[0, "position"]) == (38, 40, 2)
    assert most.loc[0, "share"] == pytest.approx(0.95)
    assert (least.loc[0, "runs"], least.loc[0, "position"]) == (0, 0)
    assert least.loc[1, "position"] == 9
