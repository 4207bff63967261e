"""The compiled routing of a short text against PyTorch's operations."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from moe_core.model import short_text
from moe_core.model.encoder import Encoder, pack
from moe_core.model.router import AdaptiveRoute, Routing, Thresholds
from moe_core.model.split import expert_layers
from moe_core.model.whole import PreparedWhole
from tests.unit.tiny_encoders import dense_encoder, sparse_encoder

needs_compiled = pytest.mark.skipif(short_text.WEIGH is None, reason="the compiled part was not built: no compiler")
THRESHOLDS_E = torch.tensor([0.3, 0.5, 0.7, 0.2])


def both_ways(whole: PreparedWhole, x_TD: Tensor, thresholds: Thresholds) -> list[tuple[Tensor, Routing]]:
    compiled, result = short_text.WEIGH, []
    with torch.inference_mode():
        for way in (compiled, None):
            short_text.WEIGH = way
            try:
                result.append(short_text.run(whole, x_TD, thresholds))
            finally:
                short_text.WEIGH = compiled
    return result


@needs_compiled
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 32), st.floats(0.01, 0.9), st.floats(0.05, 1.0), st.integers(0, 2**31))
def test_the_compiled_way_decides_and_computes_what_pytorch_does(
    n_tokens: int, tau: float, ramp: float, seed: int
) -> None:
    """Logits, scores, gates and output agree to rounding for any thresholds; gates are above 0 exactly where the score
    is above the threshold."""
    torch.manual_seed(seed)
    whole = expert_layers(_encoder())[0].prepared_whole()
    thresholds, x_TD = Thresholds.of(tau * torch.rand(4).add(0.1), ramp), torch.randn(n_tokens, 16)
    assume(thresholds.strongest_runs)
    (y_TD, routing), (_, expected) = both_ways(whole, x_TD, thresholds)
    torch.testing.assert_close(routing.logits_TE, expected.logits_TE, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(routing.scores_TE, expected.scores_TE, atol=1e-5, rtol=1e-5)
    scale = float((1 / thresholds.fade_E).max())
    torch.testing.assert_close(routing.gates_TE, expected.gates_TE, atol=1e-5 * scale, rtol=1e-5)
    with torch.inference_mode():  # the output, for the gates that came out
        torch.testing.assert_close(y_TD, whole.run(x_TD, routing.gates_TE), atol=1e-5, rtol=1e-5)
    assert torch.equal(routing.gates_TE > 0, routing.scores_TE > thresholds.values_E)


@needs_compiled
def test_the_compiled_way_passes_on_what_is_not_a_number() -> None:
    """A broken router is not hidden: its token's scores and gates are not numbers either, in both ways."""
    block = expert_layers(_encoder())[0]
    block.router.outer.bias.detach()[1] = torch.nan
    for _, routing in both_ways(block.prepared_whole(), torch.randn(3, 16), Thresholds.of(THRESHOLDS_E, 0.2)):
        assert bool(routing.scores_TE.isnan().all())
        assert bool(routing.gates_TE.isnan().all())


def test_the_encoder_takes_the_short_way_only_where_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lost expert, or where the strongest may not pass, each layer is decided as before; answers agree."""
    encoder, packed = _encoder(), pack([[1, 2, 3, 4, 5, 6]])
    calls: list[int] = []
    run = short_text.run
    monkeypatch.setattr(short_text, "run", lambda *given: calls.append(1) or run(*given))
    thresholds = [Thresholds.of(THRESHOLDS_E, 0.2)] * len(encoder.layers)
    lost = torch.tensor([True, True, True, True])
    with torch.inference_mode():
        short, _ = encoder(packed, AdaptiveRoute(thresholds))
        assert len(calls) == len(encoder.layers)
        usual, _ = encoder(packed, AdaptiveRoute(thresholds, [lost] * len(encoder.layers)))
        strict = [Thresholds.of(torch.full((4,), 0.95), 0.2)] * len(encoder.layers)
        encoder(packed, AdaptiveRoute(strict))
    assert len(calls) == len(encoder.layers)
    torch.testing.assert_close(short, usual, atol=1e-4, rtol=1e-4)


def _encoder() -> Encoder:
    """The same encoder at every call."""
    torch.manual_seed(4)
    return sparse_encoder(dense_encoder(n_positions=24))
