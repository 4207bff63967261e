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
    from moe_core.analysis.specialization.agreement import layer_agreement
    from moe_core.analysis.specialization.document import specialization_document, specialization_lines
    from moe_core.analysis.specialization.expert_clusters import expert_clusters
    from moe_core.analysis.specialization.partners import partner_lifts, with_intervals
    from moe_core.analysis.specialization.report import specialization as find
    from moe_core.analysis.specialization.sample import RoutingSample
    from moe_core.analysis.specialization.token_clusters import token_clusters
    from moe_core.analysis.specialization.words_of_run import requests_to_try, token_ids_of, vocabulary_of
    from moe_core.errors import IndexLockedError
    from moe_core.log import queries
    from moe_core.log import specialization_queries as log
    from moe_core.log.index import Index
    from moe_core.log.routing_sample import sample_of_run
    from moe_core.log.store import open_store
    from moe_core.model.folder import REFERENCE_FOLDER
    from moe_core.model.vocabulary import pieces_of_run

    opened = open_store(store)
    try:
        index = Index.open(opened)
    except IndexLockedError:  # the dashboard has it
        index = Index.open_private(opened)
    with index:
        row = log.run_to_describe(index, run)
        run_id, n_layers, n_experts = str(row["run_id"]), int(row["n_layers"]), int(row["n_experts"])
        sample = RoutingSample(**sample_of_run(index, run_id, n_layers, n_experts).fields())
        tried = log.texts_of_requests(index, run_id, requests_to_try(sample)).dropna(subset="text")
        texts, ids = list(tried["text"]), token_ids_of(sample, list(tried["request_id"]))
        words = vocabulary_of(pieces_of_run(model or REFERENCE_FOLDER, str(row["model"]), texts, ids), texts, ids)
        found = find(
            run_id=run_id, n_layers=n_layers, n_experts=n_experts, experts=log.document_experts(index, run_id),
            layers=log.document_layers(index, run_id), sample=sample, words=words,
        )  # fmt: skip
        partners = with_intervals(
            partner_lifts(
                queries.coactivation(index, run_id), queries.expert_load(index, run_id),
                queries.layer_tokens(index, run_id),
            ),
            sample,
        )  # fmt: skip
    agreement = layer_agreement(sample, seed=0)
    experts, tokens = expert_clusters(found.parts, seed=0), token_clusters(sample, seed=0)
    document = specialization_document(found, partners, agreement, experts, tokens)
    emit(document, [] if as_json else specialization_lines(found, table), as_json)
