"""What the page about experts computes, as questions to measure: queries and analysis together."""

from functools import partial

from moe_core.analysis.specialization.agreement import layer_agreement
from moe_core.analysis.specialization.expert_clusters import expert_clusters
from moe_core.analysis.specialization.report import Specialization
from moe_core.analysis.specialization.run_frames import RunFrames
from moe_core.analysis.specialization.token_clusters import token_clusters
from moe_core.analysis.specialization.words_of_run import requests_to_try, words_of_run
from moe_core.log.index import Index
from moe_core.log.routing_sample import routing_of_run
from moe_core.log.specialization_queries import texts_of_requests
from moe_core.model.folder import REFERENCE_FOLDER
from moe_core.model.vocabulary import pieces_of_run


def specialization_page(index: Index, run_id: str) -> Specialization:
    """Findings about domains, words and positions, names, partners and agreement of layers."""
    frames = RunFrames.of(routing_of_run(index, run_id))
    found = _findings(index, run_id, frames)
    _ = found.called, frames.partners(), layer_agreement(frames.sample, seed=0)
    return found


def specialization_clusters(index: Index, run_id: str) -> object:
    """The clusters of experts and tokens, after the findings that they stand on."""
    frames = RunFrames.of(routing_of_run(index, run_id))
    found = _findings(index, run_id, frames)
    return expert_clusters(found.parts, seed=0), token_clusters(frames.sample, seed=0)


def _findings(index: Index, run_id: str, frames: RunFrames) -> Specialization:
    tried = texts_of_requests(index, run_id, requests_to_try(frames.sample))
    pieces_of = partial(pieces_of_run, REFERENCE_FOLDER, str(frames.run["model"]))
    return frames.findings(words_of_run(frames.sample, tried, pieces_of))
