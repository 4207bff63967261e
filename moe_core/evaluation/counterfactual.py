"""Runs counterfactual pairs through the model: texts in, routed texts out, compared by `analysis.counterfactual`."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from moe_core.analysis.counterfactual.changes import RoutedText
from moe_core.analysis.counterfactual.pairs import PairChanges, pair_changes
from moe_core.analysis.counterfactual.report import CounterfactualReport, counterfactual_report
from moe_core.analysis.counterfactual.templates import Wordings, by_attribute
from moe_core.errors import InputError
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest

CHUNK = 256  # texts whose traces are held at once
MOST_UNKNOWN = 0.10


def routed_texts(model: RoutedModel, texts: Sequence[str], *, budget: float, head: str | None) -> list[RoutedText]:
    """Answers texts and keeps who ran for which token. Nothing is recorded.

    Raises InputError for a text, budget or head that cannot be used.
    """
    session = model.session(Setting(budget=budget, head=head, keep_traces=True))
    tokenizer, unknown = model.tokenizer.tokenizer, model.tokenizer.unknown_piece
    result = []
    for start in range(0, len(texts), CHUNK):
        part = list(texts[start : start + CHUNK])
        answers = session.answer([TextRequest(text=text) for text in part], first_number=start + 1)
        encodings = tokenizer.encode_batch(part)
        probs_BC = None
        if session.head is not None:
            embeddings = torch.from_numpy(np.stack([answer.embedding_D for answer in answers]))
            probs_BC = session.head.probabilities(embeddings).numpy()
        for row, (text, answer, encoding) in enumerate(zip(part, answers, encodings, strict=True)):
            trace = answer.trace
            assert trace is not None, "the setting keeps traces"
            labels = session.head.card.labels if session.head is not None else []
            result.append(
                RoutedText(
                    text=text,
                    pieces=tuple(trace.pieces),
                    spans_T=tuple((int(a), int(b)) for a, b in encoding.offsets),
                    is_special=tuple(trace.is_special),
                    executed_LTE=trace.gates_LTE > 0,
                    label=answer.label,
                    probabilities={} if probs_BC is None else dict(zip(labels, probs_BC[row].tolist(), strict=True)),
                    active_fraction=answer.active_fraction,
                    flops=answer.flops,
                    flops_dense=answer.flops_dense,
                    unknown=sum(piece == unknown for piece in trace.pieces),
                )
            )
    return result


def run_counterfactuals(
    model: RoutedModel,
    wordings: list[Wordings],
    *,
    budget: float,
    head: str | None,
    label: str | None = None,
    permutations: int = 999,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> list[CounterfactualReport]:
    """One report per attribute, in the order of the file. `label`: whose probability is the score; the head's last
    label if not given.

    Raises InputError for a label that the head does not have, or text that the model cannot read; AuditError as
    `counterfactual_report`.
    """
    score_label = scored_label(model, head, label)
    reports = []
    for attribute, entries in by_attribute(wordings).items():
        texts = [text for entry in entries for text in entry.texts_N]
        routed = routed_texts(model, texts, budget=budget, head=head)
        _check_known(attribute, routed)
        pairs: list[PairChanges] = []
        start = 0
        for entry in entries:
            pairs.append(pair_changes(entry, routed[start : start + len(entry.texts_N)], score_label))
            start += len(entry.texts_N)
        reports.append(
            counterfactual_report(
                attribute, entries[0].groups, pairs, shared=entries[0].shared, permutations=permutations, seed=seed
            )
        )
        progress(f"{attribute}: {len(texts)} texts of {len(entries)} templates compared")
    return reports


def scored_label(model: RoutedModel, head: str | None, label: str | None) -> str | None:
    """The label whose probability is followed: the one given, or the head's last one."""
    if head is None:
        if label is not None:
            raise InputError(f"--label {label} is given, but no head answers: add --head.")
        return None
    labels = model.head(head).card.labels
    if label is not None and label not in labels:
        raise InputError(f"Head {head!r} has no label {label!r}: use one of {', '.join(labels)}.")
    return label or labels[-1]


def _check_known(attribute: str, routed: Sequence[RoutedText]) -> None:
    tokens, unknown = sum(each.n_tokens for each in routed), sum(each.unknown for each in routed)
    if unknown > MOST_UNKNOWN * tokens:
        raise InputError(
            f"Attribute {attribute!r}: this model has no word for {unknown / tokens:.0%} of the tokens, so it does not "
            "read this language and its routing says nothing about these texts: use templates in a language it reads."
        )
