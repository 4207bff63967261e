"""One paragraph about a decision: sentences made of the numbers of its explanation, and of nothing else.

A sentence stands only where its condition holds. Frozen contributions are called shares of the margin, never causes;
an effect of a word inside the floor of neutral swaps is called no more than any edit does.
"""

import unicodedata
from collections.abc import Iterator, Sequence

from moe_core.analysis.message import N_, Message, Param
from moe_core.explain.component_names import component_name, is_constant, turns
from moe_core.explain.decision import Contribution, DecisionExplanation, ExpertMargin
from moe_core.explain.word_effects import WordEffect, WordReport

MOST_NAMED = 3


def paragraph(decision: DecisionExplanation, words: WordReport | None) -> tuple[Message, ...]:
    """The sentences in order; `words` None: not run for this decision, so nothing is said about words."""
    sentences = [what_ran(decision), *shares(decision), *_removal(decision), *_smallest(decision), *_budget(decision)]
    if words is not None:
        sentences += [*_word_for_decision(decision, words), *_word_for_answer(words)]
    return (*sentences, _rounding(decision))


def chosen_expert(decision: DecisionExplanation) -> ExpertMargin:
    """The row of the expert that is explained."""
    return next(each for each in decision.experts if each.expert_id == decision.expert_id)


def readable(text: str) -> str:
    """Foreign text inside a sentence: control and direction marks become a dot, so that they cannot reorder it."""
    return "".join("·" if unicodedata.category(c)[0] == "C" else c for c in text)


def what_ran(decision: DecisionExplanation) -> Message:
    """Whether the expert runs for the token, by what margin."""
    chosen = chosen_expert(decision)
    params: dict[str, Param] = {
        "expert": decision.expert_id, "layer": decision.layer, "token": readable(decision.token),
        "score": chosen.score, "threshold": chosen.threshold, "margin": decision.margin, "rival": decision.rival_id,
    }  # fmt: skip
    if decision.rule == "top-k" and decision.runs:
        msgid = N_("Expert {expert} runs for “{token}” in layer {layer}: its score is {score:.3f} against "
                   "{threshold:.3f} of expert {rival}, the best one that does not run, a margin of {margin:+.4f}.")
    elif decision.rule == "top-k":
        msgid = N_("Expert {expert} does not run for “{token}” in layer {layer}: its score is {score:.3f} against "
                   "{threshold:.3f} of expert {rival}, the weakest one that runs, a margin of {margin:+.4f}.")
    elif decision.runs and decision.margin <= 0:
        msgid = N_("Expert {expert} runs for “{token}” in layer {layer} although its score of {score:.3f} does not "
                   "pass the threshold of {threshold:.3f} (margin {margin:+.4f}): one expert always runs, the one "
                   "with the largest margin.")
    elif not decision.runs and decision.margin > 0:
        msgid = N_("Expert {expert} does not run for “{token}” in layer {layer} although its score of {score:.3f} "
                   "passes the threshold of {threshold:.3f} (margin {margin:+.4f}): it was not available in this run.")
    elif decision.runs:
        msgid = N_("Expert {expert} runs for “{token}” in layer {layer}: its score is {score:.3f} against a threshold "
                   "of {threshold:.3f}, a margin of {margin:+.4f}.")
    else:
        msgid = N_("Expert {expert} does not run for “{token}” in layer {layer}: its score is {score:.3f} against a "
                   "threshold of {threshold:.3f}, a margin of {margin:+.4f}.")  # fmt: skip
    return Message(msgid, params)


def shares(decision: DecisionExplanation) -> Iterator[Message]:
    """The largest shares of the margin, of what comes from the text, and of constants together."""
    parts = [each for each in decision.contributions if not is_constant(each)]
    largest = sorted(parts, key=lambda each: -abs(each.contribution))[:MOST_NAMED]
    if not largest:
        return
    plain = N_("The largest shares of this margin are {names}; with those of all {n} components they add up to it. "
               "They say what the sum is made of, not what happens without a part.")
    constants = N_("The largest shares of this margin are {names}; with those of all {n} components, constants of the "
                   "model among them, they add up to it. They say what the sum is made of, not what happens without a "
                   "part.")  # fmt: skip
    yield Message(
        constants if len(parts) < len(decision.contributions) else plain,
        {"names": _listed([_share(each) for each in largest]), "n": len(decision.contributions)},
    )


def _share(part: Contribution) -> Message:
    return Message(N_("{name} ({share:+.4f})"), {"name": component_name(part), "share": part.contribution})


def _listed(names: Sequence[Message]) -> Message:
    listed = names[0]
    for name in names[1:]:
        listed = Message(N_("{first}, {second}"), {"first": listed, "second": name})
    return listed


def _removal(decision: DecisionExplanation) -> Iterator[Message]:
    """What removing one component does, norms computed again."""
    tried = [each for each in decision.contributions if each.runs_without is not None]
    turning = [each for each in tried if turns(each, runs=decision.runs)]
    if not tried:
        return
    if not turning:
        yield Message(N_("Taking away any one of the {n} components, with the norms computed again, leaves the "
                         "decision as it is."), {"n": len(tried)})  # fmt: skip
        return
    first = max(turning, key=lambda each: abs(each.contribution))
    stops = N_("{turning} of {n} components would each stop it if taken away, with the norms computed again, the "
               "largest of them {name} (margin then {margin:+.4f}).")
    starts = N_("{turning} of {n} components would each let it run if taken away, with the norms computed again, the "
                "largest of them {name} (margin then {margin:+.4f}).")  # fmt: skip
    params: dict[str, Param] = {"turning": len(turning), "n": len(tried), "name": component_name(first)}
    yield Message(stops if decision.runs else starts, {**params, "margin": first.margin_without or 0.0})


def _smallest(decision: DecisionExplanation) -> Iterator[Message]:
    if decision.flip.relative is not None:
        yield Message(N_("The smallest change of the router's input that turns the decision is {relative:.2%} of the "
                         "input's length."), {"relative": decision.flip.relative})  # fmt: skip


def _budget(decision: DecisionExplanation) -> Iterator[Message]:
    """The budget that turns it; nothing where the run has none."""
    if decision.budget_flip.budget is None:
        yield Message(N_("No budget turns the decision while the router's input stays the same."))
    elif decision.runs:
        yield Message(N_("With the router's input kept, it would not run at a budget of {budget:.2f}."),
                      {"budget": decision.budget_flip.budget})  # fmt: skip
    else:
        yield Message(N_("With the router's input kept, it would run at a budget of {budget:.2f}."),
                      {"budget": decision.budget_flip.budget})  # fmt: skip


def _word_for_decision(decision: DecisionExplanation, words: WordReport) -> Iterator[Message]:
    """The word whose absence changes the margin most, against neutral swaps; and whether that turns the decision."""
    strongest = words.strongest_for_decision
    if strongest is None or strongest.decision.change is None or strongest.reading is None:
        return
    effect, after = strongest.decision, strongest.reading.margin
    params = {"word": readable(strongest.word.text), "change": strongest.decision.change, "n": words.n_compared,
              "margin": after if after is not None else 0.0, **_floor(strongest, "decision")}  # fmt: skip
    if effect.beyond is None:
        msgid = N_("Of {n} words that can be left out, “{word}” changes the margin most: by {change:+.4f}, to "
                   "{margin:+.4f}; there are too few neutral swaps to compare with.")
    elif effect.beyond:
        msgid = N_("Of {n} words that can be left out, “{word}” changes the margin most: by {change:+.4f}, to "
                   "{margin:+.4f}; nine of ten neutral swaps elsewhere change it by at most {limit:.4f} "
                   "({swaps} swaps).")
    else:
        msgid = N_("Of {n} words that can be left out, “{word}” changes the margin most, by {change:+.4f} to "
                   "{margin:+.4f}, which is no more than any edit does: nine of ten neutral swaps elsewhere change it "
                   "by up to {limit:.4f} ({swaps} swaps).")  # fmt: skip
    yield Message(msgid, params)
    if effect.turns:
        yield Message(N_("Without this word the expert would not run.") if decision.runs
                      else N_("Without this word the expert would run."))  # fmt: skip


def _word_for_answer(words: WordReport) -> Iterator[Message]:
    """The word whose absence changes the answer's probability most, against neutral swaps."""
    strongest = words.strongest_for_answer
    if strongest is None or strongest.answer.change is None or strongest.reading is None:
        return
    effect = strongest.answer
    params = {"word": readable(strongest.word.text), "label": readable(words.intact.label or ""),
              "before": words.intact.probability or 0.0, "after": strongest.reading.probability or 0.0,
              "n": sum(each.answer.change is not None for each in words.words),
              **_floor(strongest, "answer")}  # fmt: skip
    if effect.beyond is None:
        msgid = N_("For the answer “{label}”, leaving out “{word}” changes the probability most of {n} words: from "
                   "{before:.3f} to {after:.3f}; there are too few neutral swaps to compare with.")
    elif effect.beyond:
        msgid = N_("For the answer “{label}”, leaving out “{word}” changes the probability most of {n} words: from "
                   "{before:.3f} to {after:.3f}; nine of ten neutral swaps elsewhere change it by at most {limit:.4f} "
                   "({swaps} swaps).")
    else:
        msgid = N_("For the answer “{label}”, leaving out “{word}” changes the probability most of {n} words, from "
                   "{before:.3f} to {after:.3f}, which is no more than any edit does: nine of ten neutral swaps "
                   "elsewhere change it by up to {limit:.4f} ({swaps} swaps).")  # fmt: skip
    yield Message(msgid, params)
    if effect.turns:
        yield Message(N_("Without this word the answer would be “{label}”."),
                      {"label": readable(strongest.reading.label or "")})  # fmt: skip


def _floor(word: WordEffect, of: str) -> dict[str, float | int]:
    floor = word.decision.floor if of == "decision" else word.answer.floor
    return {} if floor is None else {"limit": floor.limit, "swaps": floor.n}


def _rounding(decision: DecisionExplanation) -> Message:
    if decision.stable_in_bf16:
        return Message(N_("The decision stays the same when the router's input and weights are rounded to bfloat16."))
    return Message(N_("The decision turns when the router's input and weights are rounded to bfloat16."))
