"""`explain`: why an expert ran for one token of a logged request, or the request run again."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.explain_lines import explanation_lines, replay_lines
from moe_core.cli.output import DEFAULT_STORE, JsonFlag, ModelOption, StoreOption, emit
from moe_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from moe_core.explain.decision import DecisionExplanation
    from moe_core.explain.replay import LoggedRun
    from moe_core.log.index import Index
    from moe_core.model.reference import RoutedModel
    from moe_core.model.requests import Setting


def explain(
    request: Annotated[str, typer.Option("--request", metavar="ID", help="Request of the log.")],
    position: Annotated[int | None, typer.Option("--position", help="Token, counted from 0.")] = None,
    layer: Annotated[int | None, typer.Option("--layer", help="Layer, counted from 0.")] = None,
    expert: Annotated[
        int | None, typer.Option("--expert", help="Expert of the layer.", show_default="the closest call")
    ] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Run the request again and compare all decisions.")] = False,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="Its run, where several have it.")] = None,
    model: ModelOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Take one decision of a logged request apart, or run the request again (--replay).

    Method and limits: docs/explanations.md. Exit code 1 where the log says otherwise than the model does now.
    """
    from moe_core.log import queries
    from moe_core.log.index import Index

    if replay and not (position is layer is expert is None):
        raise InputError("--replay runs the whole request again: leave out --position, --layer and --expert.")
    if not replay and (position is None or layer is None):
        raise InputError("Give --position and --layer of the decision, or --replay.")
    from moe_core.explain.replay import LoggedRun, setting_of

    with Index.open_or_private(store) as index:
        found = queries.run_of_request(index, request, run).iloc[0]
        logged_run = LoggedRun.of(request, found.to_dict())
        decisions = queries.request_trace(index, request, logged_run.run_id)
        from moe_core.model.reference import load_model

        setting = setting_of(logged_run)
        routed = load_model(model)
        if replay:
            same = _replay(index, routed, logged_run, setting, decisions, as_json)
        else:
            assert position is not None
            assert layer is not None
            same = _explain(routed, logged_run, setting, decisions, (position, layer, expert), as_json)
    if not same:
        raise typer.Exit(1)


def _explain(
    routed: "RoutedModel", run: "LoggedRun", setting: "Setting", decisions: "pd.DataFrame",
    which: tuple[int, int, int | None], as_json: bool,
) -> bool:  # fmt: skip
    from moe_core.explain.explain import explain_decision

    if run.model_sha256 != routed.sha256:
        raise InputError(
            f"Request {run.request_id} was answered by {run.model} {run.model_sha256[:12]}, this is {routed.name} "
            f"{routed.sha256[:12]}: give that model with --model, or see with --replay what has changed."
        )
    assert run.text is not None
    position, layer, expert = which
    told = explain_decision(
        routed, run.text, setting, position=position, layer=layer, expert_id=expert, request_id=run.request_id,
        reruns=True,
    )  # fmt: skip
    logged = _logged(decisions, told)
    lines = explanation_lines(told)
    if not logged["same"]:
        lines.append(f"THE LOG SAYS OTHERWISE: experts {logged['ran']} ran; see --replay.")
    emit({**asdict(told), "logged": logged}, lines, as_json)
    return bool(logged["same"])


def _logged(decisions: "pd.DataFrame", told: "DecisionExplanation") -> dict[str, Any]:
    """Who ran by the log, its margin of the expert if it holds one, and whether both agree (margins to two steps)."""
    rows = decisions[(decisions["position"] == told.position) & (decisions["layer"] == told.layer)]
    ran = sorted(int(e) for e in rows.loc[rows["selected"].astype(bool), "expert_id"])
    margins = rows.loc[rows["expert_id"] == told.expert_id, "margin"].dropna()
    margin = float(margins.iloc[0]) if len(margins) else None
    same = ran == [e.expert_id for e in told.experts if e.runs]
    if margin is not None and (told.rule == "threshold" or told.runs):
        same = same and abs(margin - told.margin) <= 2 / 1024
    return {"same": same, "ran": ran, "margin": margin}


def _replay(
    index: "Index", routed: "RoutedModel", run: "LoggedRun", setting: "Setting", decisions: "pd.DataFrame",
    as_json: bool,
) -> bool:  # fmt: skip
    import torch

    from moe_core.explain.replay import around, compare, run_again
    from moe_core.log import queries
    from moe_core.log.logged_steps import logged_steps, steps_of

    if (threads := run.software.get("threads", "")).isdigit() and int(threads) > 0:
        torch.set_num_threads(int(threads))
    together = queries.answered_together(index, run.request_id, run.run_id)
    around_it = around(run, routed)
    texts, number = list(together["text"]), list(together["request_id"]).index(run.request_id)
    gone = int(together["text"].isna().sum())
    if gone:
        around_it.append(f"{gone} of the {len(texts)} texts answered with it are gone: run again alone")
        texts, number = [run.text], 0
    now = steps_of(run_again(routed, setting, texts, number))
    report = compare(run, logged_steps(decisions), now, answered_with=len(texts), around=around_it)
    emit(asdict(report), replay_lines(report), as_json)
    return report.same
