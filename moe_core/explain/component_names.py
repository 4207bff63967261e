"""What a component of the router's input is called in a sentence, a chart or a table."""

from moe_core.analysis.message import N_, Message
from moe_core.explain.decision import CONSTANTS, Contribution

_NAMES = {
    "word": N_("word embedding"),
    "position": N_("position embedding"),
    "head": N_("head {index} of layer {layer}"),
    "expert": N_("expert {index} of layer {layer}"),
    "shared expert": N_("shared expert of layer {layer}"),
    "dense block": N_("dense block of layer {layer}"),
    "norm": N_("shift of the norms"),
    "bias": N_("biases"),
    "threshold": N_("threshold"),
    "cap": N_("cut of the score at 1"),
}
_OF_LAYER = {
    "norm": N_("shift of a norm in layer {layer}"),
    "bias": N_("biases of layer {layer}"),
}


def component_name(part: Contribution) -> Message:
    """The name of a component; layer and index as they are counted in the log, from 0."""
    name = _NAMES[part.kind] if part.layer is None else _OF_LAYER.get(part.kind, _NAMES[part.kind])
    return Message(name, {"layer": -1 if part.layer is None else part.layer,
                          "index": -1 if part.index is None else part.index})  # fmt: skip


def is_constant(part: Contribution) -> bool:
    """Whether nothing of the text is in it, so that it cannot be taken away."""
    return part.kind in CONSTANTS


def turns(part: Contribution, *, runs: bool) -> bool:
    """Whether the decision turns when the component is removed and every norm on the way is computed again."""
    return part.runs_without is not None and part.runs_without != runs
