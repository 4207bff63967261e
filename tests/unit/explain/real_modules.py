"""The slow way: components really taken out of the stream, through the model's own norms, router and rule."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.explain.components import Path
from moe_core.explain.reference_components import path_to_router, rule_of, run_layers
from moe_core.explain.rules import Rule
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting
from moe_core.model.router import decide, decide_top_k
from moe_core.model.session import Session


@dataclass(frozen=True)
class Case:
    """One token in front of one router."""

    model: RoutedModel
    session: Session
    path: Path
    rule: Rule
    layer: int
    logged_E: NDArray[np.float64]
    runs_E: NDArray[np.bool_]

    def decided(self, logits_NE: torch.Tensor) -> NDArray[np.bool_]:
        """The model's own rule."""
        available = self.session.available[self.layer]
        if self.session.setting.mode == "topk":
            return (decide_top_k(logits_NE, self.session.top_k, available).gates_TE > 0).numpy()
        thresholds = self.session.thresholds[self.layer].values_E
        return (decide(logits_NE, thresholds, self.model.config.ramp, available).gates_TE > 0).numpy()

    def really_without(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(logits_NE, runs_NE), one row a component that is no constant, in float32."""
        encoder = self.model.adapted
        norms = [encoder.embeddings.norm]
        for layer in encoder.layers:
            norms += [layer.attention_norm, layer.ffn_norm]
        count = sum(not part.is_constant for stage in self.path.stages for part in stage.parts)
        x_ND, row = torch.zeros(count, self.model.config.d_model), 0
        with torch.inference_mode():
            for stage, norm in zip(self.path.stages, norms, strict=False):
                vectors_CD = torch.from_numpy(stage.vectors_CD).float()
                x_ND = x_ND + vectors_CD.sum(dim=0)
                for part, vector_D in zip(stage.parts, vectors_CD, strict=True):
                    if not part.is_constant:
                        x_ND[row] -= vector_D
                        row += 1
                x_ND = norm(x_ND)
            logits_NE = encoder.layers[self.layer].ffn.router(x_ND)
        return logits_NE.double().numpy(), self.decided(logits_NE)

    def really_moved(self, changed_ND: torch.Tensor) -> NDArray[np.bool_]:
        """Who runs where the sum entering the last norm is this one, (N, E)."""
        layer = self.model.adapted.layers[self.layer]
        with torch.inference_mode():
            return self.decided(layer.ffn.router(layer.attention_norm(changed_ND.float())))


def cases(model: RoutedModel, text: str, setting: Setting, layers: list[int], step: int) -> list[Case]:
    """Every `step`-th token of a text before some routers."""
    session = model.session(setting)
    ids = model.tokenizer.encode([text])[0].ids
    found = []
    for layer in layers:
        routed = run_layers(model, session, ids, layer + 1)
        for position in range(layer % step, len(ids), step):
            routing = routed.routings[layer]
            found.append(
                Case(model, session, path_to_router(model, routed, position, layer), rule_of(session, layer), layer,
                     routing.logits_TE[position].double().numpy(), (routing.gates_TE[position] > 0).numpy())
            )  # fmt: skip
    return found
