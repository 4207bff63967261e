"""`specialization`: what the experts of a run are for, as far as it can be found twice."""

from typing import Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, ModelOption, StoreOption, emit, table


def specialization(
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Run to describe.", show_default="newest model's largest")
    ] = None,
    model: ModelOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """What each expert runs for: domains, words, positions; its partners; clusters of experts and of tokens.

    A difference is called specialization only if it is found on one half of the documents, all tests taken together,
    and found again on the other half. Method and error rates: docs/specialization.md.
    """
    from functools import partial

    from moe_core.analysis.specialization.agreement import layer_agreement
    from moe_core.analysis.specialization.document import specialization_document, specialization_lines
    from moe_core.analysis.specialization.expert_clusters import expert_clusters
    from moe_core.analysis.specialization.run_frames import RunFrames
    from moe_core.analysis.specialization.token_clusters import token_clusters
    from moe_core.analysis.specialization.words_of_run import requests_to_try, words_of_run
    from moe_core.log.index import Index
    from moe_core.log.routing_sample import routing_of_run
    from moe_core.log.specialization_queries import texts_of_requests
    from moe_core.model.folder import REFERENCE_FOLDER
    from moe_core.model.vocabulary import pieces_of_run

    with Index.open_or_private(store) as index:
        frames = RunFrames.of(routing_of_run(index, run))
        name, sample = str(frames.run["run_id"]), frames.sample
        tried = texts_of_requests(index, name, requests_to_try(sample))
    pieces_of = partial(pieces_of_run, model or REFERENCE_FOLDER, str(frames.run["model"]))
    found, partners = frames.findings(words_of_run(sample, tried, pieces_of)), frames.partners()
    agreement = layer_agreement(sample, seed=0)
    experts, tokens = expert_clusters(found.parts, seed=0), token_clusters(sample, seed=0)
    document = specialization_document(found, partners, agreement, experts, tokens)
    emit(document, [] if as_json else specialization_lines(found, table), as_json)
