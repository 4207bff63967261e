"""Words left out and swapped: the same token is followed, and every number is that of the edited text read alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from moe_core.errors import InputError
from moe_core.explain import words as module
from moe_core.explain.explain import explain_decision
from moe_core.explain.word_units import in_groups, without, words_of
from moe_core.explain.words import run_words, swap_report, word_report
from moe_core.model.calibration import Calibration, DialPoint
from moe_core.model.heads import Head, HeadCard
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.model.tokens import TextTokenizer
from tests.unit.tiny_encoders import WORDS, dense_encoder, save_tokenizer, sparse_encoder

SETTING = Setting(budget=0.5)
TEXT = "the parcel never arrived, and the box"


FILLERS = ["thing", "one", "part", "の", "人", "日", "本", "語", "が"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> RoutedModel:
    """2 layers of 4 experts, one head, a tokenizer of two dozen words with a few neutral ones among them."""
    folder = tmp_path_factory.mktemp("model")
    save_tokenizer(folder / "tokenizer.json", [*WORDS, *FILLERS, "ly", "##ly", ",", "."])
    torch.manual_seed(5)
    dense = dense_encoder(n_positions=64)
    points = tuple(
        DialPoint(tau, share, 0.9, 0.8, 10, 100, [share] * 2, {}) for tau, share in ((0.9, 0.3), (0.5, 0.6), (0.0, 1.0))
    )
    return RoutedModel(
        adapted=sparse_encoder(dense),
        dense=dense,
        tokenizer=TextTokenizer(folder / "tokenizer.json", 64),
        calibration=Calibration(points),
        heads={"sentiment": Head(
            HeadCard(name="sentiment", labels=["bad", "good"]), torch.randn(2, 16), torch.zeros(2)
        )},
        name="tiny",
        sha256="a" * 64,
        folder=folder,
    )


def alone(model: RoutedModel, text: str, setting: Setting = SETTING) -> object:
    return model.session(replace(setting, keep_traces=True)).answer([TextRequest(text=text)])[0]


def test_a_word_keeps_its_punctuation_and_leaves_one_space() -> None:
    """“arrived,” is one word whose core is “arrived”; the text without it has no double space."""
    spans = [(0, 3), (4, 11), (11, 12), (13, 16)]
    found = words_of("the arrived, box", spans, [False] * 4)
    assert [word.text for word in found] == ["the", "arrived,", "box"]
    assert found[1].core == (4, 11)
    assert without("the arrived, box", found[1]) == ("the box", ((0, 0, 4), (13, 4, 3)))
    assert without("the arrived, box", found[2])[0] == "the arrived,"
    assert without("box", words_of("box", [(0, 3)], [False])[0])[0] == ""


def test_a_text_without_spaces_falls_into_its_tokens() -> None:
    """Japanese has no spaces: each token is a unit; a Latin word beside it stays whole."""
    found = words_of("日本語 parcel", [(0, 1), (1, 2), (2, 3), (4, 7), (7, 10)], [False] * 5)
    assert [word.text for word in found] == ["日", "本", "語", "parcel"]
    assert [word.text for word in words_of("a/b", [(0, 1), (1, 2), (2, 3)], [False] * 3)] == ["a", "/", "b"]


def test_words_of_a_long_text_go_together() -> None:
    """Groups cover the text without a gap in its words."""
    words = words_of("a b c d e", [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)], [False] * 5)
    assert [word.text for word in in_groups("a b c d e", words, 2)] == ["a b", "c d", "e"]


@pytest.mark.parametrize("mode", ["adaptive", "topk"])
def test_every_effect_is_that_of_the_text_read_alone(model: RoutedModel, mode: str) -> None:
    """Slow reference: each text without a word is answered on its own, and the token is found by hand."""
    setting = Setting(budget=0.5, mode=mode)  # type: ignore[arg-type]
    runs = run_words(model, TEXT, setting)
    position, layer, expert = 2, 1, 3  # "parcel"
    report = word_report(runs, position=position, layer=layer, expert_id=expert)
    texts = ["parcel never arrived, and the box", "the never arrived, and the box", "the parcel arrived, and the box",
             "the parcel never and the box", "the parcel never arrived, the box", "the parcel never arrived, and box",
             "the parcel never arrived, and the"]  # fmt: skip
    assert [word.word.text for word in report.words] == TEXT.split()
    for index, (text, word) in enumerate(zip(texts, report.words, strict=True)):
        read = alone(model, text, setting)
        trace = read.trace  # type: ignore[attr-defined]
        assert word.reading is not None
        assert word.reading.label == read.label  # type: ignore[attr-defined]
        assert word.reading.experts_per_token == pytest.approx(trace.experts_used_LT.mean())
        if index == 1:
            assert word.holds_token
            assert word.reading.margin is None
            assert word.decision.change is None
            continue
        place = 1 if index == 0 else 2
        scores, ran = trace.scores_LTE[layer, place], trace.gates_LTE[layer, place] > 0
        threshold = trace.thresholds_LTE[layer, place, expert]
        if mode == "topk":
            threshold = scores[~ran].max() if ran[expert] else scores[ran].min()
        assert word.reading.runs == bool(ran[expert])
        assert word.reading.margin == pytest.approx(float(scores[expert] - threshold), abs=1e-5)
        assert report.intact.margin is not None
        assert word.decision.change == pytest.approx(word.reading.margin - report.intact.margin)


@pytest.mark.parametrize("mode", ["adaptive", "topk"])
@pytest.mark.parametrize("expert", range(4))
def test_the_intact_margin_is_that_of_the_explanation(model: RoutedModel, mode: str, expert: int) -> None:
    """Words and explanation speak of the same decision, whoever the expert is compared with."""
    setting = Setting(budget=0.5, mode=mode)  # type: ignore[arg-type]
    report = word_report(run_words(model, TEXT, setting), position=2, layer=1, expert_id=expert)
    decision = explain_decision(model, TEXT, setting, position=2, layer=1, expert_id=expert)
    assert report.intact.runs == decision.runs
    assert report.intact.margin == pytest.approx(decision.margin, abs=1e-6)


def test_a_repeated_word_is_followed_by_its_place(model: RoutedModel) -> None:
    """Of two “the”, the one that stays is followed, also when its twin goes."""
    runs = run_words(model, "the box the parcel", SETTING)
    first_gone = runs.removed[0]
    assert first_gone is not None
    assert first_gone.place_T.tolist() == [0, -1, 1, 2, 3, 4]
    third_gone = runs.removed[2]
    assert third_gone is not None
    assert third_gone.place_T.tolist() == [0, 1, 2, -1, 3, 4]


def test_special_tokens_are_followed(model: RoutedModel) -> None:
    """The end mark moves with the text's end, and no word holds it."""
    report = word_report(run_words(model, TEXT, SETTING), position=0, layer=0, expert_id=0)
    assert all(word.decision.change is not None and not word.holds_token for word in report.words)


def test_the_floor_of_a_word_comes_from_swaps_of_other_words_of_the_same_length(model: RoutedModel) -> None:
    """No neutral swap moves a token, and a word's own swaps are not in its floor."""
    runs = run_words(model, TEXT, SETTING)
    assert {index for index, _, _ in runs.neutral} == set(range(7))
    assert all(variant.n_tokens == len(runs.spans_T) for _, _, variant in runs.neutral)
    report = word_report(runs, position=2, layer=1, expert_id=3)
    for index, word in enumerate(report.words):
        changes = sorted(
            abs(float(variant.scores_LTE[1, 2, 3] - variant.thresholds_LTE[1, 2, 3]) - (report.intact.margin or 0))
            for other, _, variant in runs.neutral
            if other not in (index, 1)
        )
        assert word.decision.floor is not None
        assert word.decision.floor.n == len(changes)
        assert word.decision.floor.limit == pytest.approx(changes[int(np.ceil(0.9 * len(changes))) - 1])
        assert word.decision.floor.largest == pytest.approx(changes[-1])


def test_a_swap_stands_beside_neutral_swaps_of_the_same_word(model: RoutedModel) -> None:
    """The replaced text read alone gives the same numbers; the word's comma stays."""
    runs = run_words(model, TEXT, SETTING)
    swap = swap_report(model, runs, 3, "late", position=2, layer=1, expert_id=3)
    trace = alone(model, "the parcel never late, and the box").trace  # type: ignore[attr-defined]
    assert swap.after.margin == pytest.approx(float(trace.margins_LTE[1, 2, 3]), abs=1e-5)
    assert set(swap.neutral_words) == {"thing", "one", "part"}
    assert swap.decision.floor is None  # three swaps are too few
    with pytest.raises(InputError, match="type another word"):
        swap_report(model, runs, 3, " arrived ", position=2, layer=1, expert_id=3)


def test_one_word_alone_cannot_be_left_out(model: RoutedModel) -> None:
    """Nothing would be left to read: no effect, no floor, and no failure."""
    report = word_report(run_words(model, "parcel", SETTING), position=1, layer=0, expert_id=0)
    assert [word.reading for word in report.words] == [None]
    assert report.strongest_for_decision is None
    assert report.strongest_for_answer is None


def test_a_long_text_loses_several_words_at_once(model: RoutedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variants together stay within the limit, and the report says how many words go at once."""
    monkeypatch.setattr(module, "MOST_TOKENS", 200)
    runs = run_words(model, "the parcel never arrived and nobody answers", SETTING)
    assert runs.grouped > 1
    assert runs.n_texts * len(runs.spans_T) <= 2 * 200


def test_dense_mode_and_unknown_decisions_are_refused(model: RoutedModel) -> None:
    """One clear sentence each."""
    with pytest.raises(InputError, match="decides nothing"):
        run_words(model, TEXT, Setting(mode="dense"))
    with pytest.raises(InputError, match="no decision at position 99"):
        word_report(run_words(model, TEXT, SETTING), position=99, layer=0, expert_id=0)


def test_without_a_head_only_the_decision_is_followed(model: RoutedModel) -> None:
    """No label, no probability, and no statement about an answer."""
    report = word_report(run_words(model, TEXT, replace(SETTING, head=None)), position=2, layer=0, expert_id=0)
    assert report.intact.probability is None
    assert all(word.answer.change is None for word in report.words)
    assert report.strongest_for_answer is None
