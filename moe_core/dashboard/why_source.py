"""What the page *Why this expert* explains: a text and the setting it ran at, from the log or typed in.

A source is `blocked` where its decisions cannot be computed again; the panel says why and what to do.
"""

from dataclasses import dataclass, replace

from moe_core.analysis.message import N_, Message
from moe_core.explain.replay import LoggedRun, setting_of
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One text. `identity` tells it from others; request_id, run_id: where it was recorded, None for a typed text."""

    identity: str
    text: str
    setting: Setting
    request_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why a recorded request cannot be explained, and what to do."""

    why: Message
    remedy: Message


ERASED = Blocked(
    Message(N_("The text of this request was erased or never kept, so its decisions cannot be computed again.")),
    Message(N_("What was recorded of them (scores, thresholds, margins) is still in the audit log. To explain a "
               "decision, choose a request whose text is kept, or type the text below “Own text”.")),
)  # fmt: skip
DENSE = Blocked(
    Message(N_("This request was answered by the dense original: every part of it ran, so nothing was decided.")),
    Message(N_("Choose an adaptive run; the same text may have been answered in both modes.")),
)
NO_SETTING = Blocked(
    Message(N_("The run does not say at which setting it was made (imported runs do not), so its decisions cannot be "
               "computed again.")),
    Message(N_("Run the text here: choose “Own text”, or record it with `routelens infer`.")),
)  # fmt: skip


def other_model(run: LoggedRun, model: RoutedModel) -> Blocked:
    """The run was made by a model that is not loaded here."""
    return Blocked(
        Message(
            N_("The request was answered by another model ({theirs}, {their_hash}) than the one that is loaded here "
               "({ours}, {our_hash}): an explanation by this one would not be true."),
            {"theirs": run.model, "their_hash": run.model_sha256[:12], "ours": model.name,
             "our_hash": model.sha256[:12]},
        ),
        Message(N_("Start the dashboard with that model's folder in ROUTELENS_MODEL, or choose a run of this model.")),
    )  # fmt: skip


def recorded_source(run: LoggedRun, model: RoutedModel) -> Source | Blocked:
    """The source of a recorded request. A head that the model does not have is left out: no answer is followed then."""
    if run.mode == "dense":
        return DENSE
    if run.model_sha256 != model.sha256:
        return other_model(run, model)
    if run.text is None:
        return ERASED
    if "setting" not in run.config:
        return NO_SETTING
    setting = setting_of(run)
    return Source(
        identity=run.request_id,
        text=run.text,
        setting=setting if setting.head is None or setting.head in model.heads else replace(setting, head=None),
        request_id=run.request_id,
        run_id=run.run_id,
    )
