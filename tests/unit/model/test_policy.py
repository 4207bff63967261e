"""policy.toml: what is written is read back, and every bad file is one clear sentence."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_core.errors import InputError
from moe_core.model.policy import Escalation, Policy, check_policy, parse_policy, policy_toml, read_policy
from moe_core.model.reference import RoutedModel

texts = st.text(max_size=12)
shares = st.floats(0, 1, exclude_min=True)
taus = st.floats(0, 0.97)
experts = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 999)), max_size=4, unique=True)
rules = st.builds(Escalation, margin_below=st.floats(0, 1), important=st.none() | st.text(min_size=1, max_size=9)) | (
    st.builds(Escalation, margin_below=st.floats(0, 1), mode=st.just("adaptive"), budget=shares)
)
policies = st.tuples(st.none() | shares, st.none() | st.lists(taus, min_size=1, max_size=8).map(tuple)).flatmap(
    lambda dial: st.builds(
        Policy,
        budget=st.just(0.5 if dial == (None, None) else dial[0]),
        thresholds_L=st.just(dial[1]),
        unavailable=experts.map(tuple),
        escalation=st.none() | rules,
        head=st.none() | texts,
        model=st.none() | texts,
        model_sha256=st.none() | texts,
    )
)

EXAMPLE = """
format = 1
model = "routelens-reference"
model_sha256 = "abc"
head = "sentiment"
budget = 0.35
thresholds = [0.12, 0, 0.97]
unavailable = ["2:5"]
[escalation]
margin_below = 0.20
important = "vip"
mode = "adaptive"
budget = 1
"""


@settings(max_examples=300, deadline=None)
@given(policies)
def test_what_is_written_is_read_back_to_the_last_bit(policy: Policy) -> None:
    """Any numbers in range, and any text: quotes, line breaks, control characters, other scripts."""
    assert parse_policy(policy_toml(policy).encode()) == policy


def test_the_documented_file_is_understood(tmp_path: Path) -> None:
    """Every key of the format, from a file with Windows line ends and a byte order mark."""
    path = tmp_path / "policy.toml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.replace("\n", "\r\n").encode())
    assert read_policy(path) == Policy(
        budget=0.35, thresholds_L=(0.12, 0.0, 0.97), unavailable=((2, 5),), head="sentiment",
        model="routelens-reference", model_sha256="abc",
        escalation=Escalation(margin_below=0.2, important="vip", mode="adaptive", budget=1.0),
    )  # fmt: skip


def test_a_policy_becomes_a_setting() -> None:
    """Its own head wins over the one that is offered; thresholds and lost experts are handed on."""
    policy = Policy(thresholds_L=(0.1, 0.2), unavailable=((0, 1),))
    setting = policy.setting(head="mood", truncate=True)
    assert (setting.mode, setting.head, setting.truncate) == ("adaptive", "mood", True)
    assert (setting.thresholds_L, setting.unavailable) == ((0.1, 0.2), ((0, 1),))
    assert Policy(budget=0.3, head="spam").setting(head="mood").head == "spam"
    assert Policy(budget=0.3).setting().budget == 0.3
    assert Policy(budget=0.3).setting().head is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("format = 1", "neither a budget nor thresholds"),
        ("budget = 0.5", "format is None.*reads 1"),
        ("format = 2\nbudget = 0.5", "format is 2"),
        ("format = true\nbudget = 0.5", "format is True"),
        ("format = 1\nbugdet = 0.5", "'bugdet' is unknown: did you mean 'budget'"),
        ("format = 1\nbudget = 0.5\nzzz = 1", "'zzz' is unknown: the keys are"),
        ("format = 1\nbudget = '0.5'", "budget is '0.5': give a number"),
        ("format = 1\nbudget = true", "budget is True: give a number"),
        ("format = 1\nbudget = nan", "budget is nan"),
        ("format = 1\nbudget = inf", "budget is inf"),
        ("format = 1\nbudget = 0", "Budget 0.0 is out of range"),
        ("format = 1\nbudget = 1.01", "Budget 1.01"),
        ("format = 1\nthresholds = []", "0 thresholds"),
        ("format = 1\nthresholds = 0.5", "thresholds is 0.5: give a list"),
        ("format = 1\nthresholds = [0.1, nan]", "layer 1 is nan"),
        ("format = 1\nthresholds = [0.98]", "layer 0 is 0.98.*0.97"),
        ("format = 1\nthresholds = [-0.1]", "layer 0 is -0.1"),
        ("format = 1\nthresholds = [true]", "layer 0 is True"),
        ("format = 1\nthresholds = ['a']", "layer 0 is 'a'"),
        ("format = 1\nbudget = 0.5\nunavailable = '2:5'", "unavailable is '2:5': give a list"),
        ("format = 1\nbudget = 0.5\nunavailable = ['2-5']", "'2-5' is not LAYER:EXPERT"),
        ("format = 1\nbudget = 0.5\nunavailable = [25]", "25 is not LAYER:EXPERT"),
        ("format = 1\nbudget = 0.5\nunavailable = ['2:5', '2:05']", "2:5 is named twice"),
        ("format = 1\nbudget = 0.5\nhead = 3", "head is 3: give a text"),
        ("format = 1\nbudget = 0.5\nescalation = 3", "write a table"),
        ("format = 1\nbudget = 0.5\n[escalation]", "names no request to run again"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin = 0.2", "'margin' is unknown: did you mean 'margin_below'"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin_below = 1.5", "margin_below is 1.5"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin_below = nan", "margin_below is nan"),
        ("format = 1\nbudget = 0.5\n[escalation]\nimportant = ''", "important is ''"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin_below = 0.2\nmode = 'topk'", "'topk' is unknown"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin_below = 0.2\nmode = []", r"mode \[\] is unknown"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin_below = 0.2\nbudget = 0.9", "dense original has no budget"),
        ("format = 1\nbudget = 0.5\n[escalation]\nmargin_below = 0.2\nmode = 'adaptive'\nbudget = 2", "Budget 2.0"),
        ("format = = 1", "not valid TOML"),
        ("format = 1\nbudget = " + "9" * 5000, "not valid TOML"),
        ("format = 1\nbudget = 1" + "0" * 400, "give a number"),
        ("a = " + "[" * 5000, "not valid TOML"),
    ],
)
def test_a_bad_policy_is_one_sentence_that_names_the_file(tmp_path: Path, content: str, words: str) -> None:
    """What is wrong, where, and what to do."""
    path = tmp_path / "p.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_policy(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Missing, a folder, bytes that are not UTF-8, far too large."""
    with pytest.raises(InputError, match="no policy file"):
        read_policy(tmp_path / "missing.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_policy(tmp_path)
    (tmp_path / "latin.toml").write_bytes("format = 1 # caf\xe9".encode("latin-1"))
    with pytest.raises(InputError, match="byte 16 is not UTF-8"):
        read_policy(tmp_path / "latin.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match="larger than"):
        read_policy(tmp_path / "large.toml")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"budget": 0.5, "model_sha256": "b" * 64}, "was made for the model bbbbbbbbbbbb"),
        ({"budget": 0.5, "head": "spam"}, "no head 'spam'"),
        ({"budget": 0.1}, "below 0.300"),
        ({"thresholds_L": (0.1, 0.2, 0.3)}, "3 thresholds for 2 layers"),
        ({"budget": 0.5, "unavailable": ((5, 0),)}, "no expert 5:0"),
        ({"budget": 0.5, "unavailable": ((0, 0), (0, 1), (0, 2), (0, 3))}, "All 4 experts of layer 0"),
        ({"budget": 0.5, "escalation": Escalation(mode="adaptive", budget=0.1)}, "below 0.300"),
    ],
)
def test_a_policy_for_another_model_is_refused(tiny_model: RoutedModel, values: dict[str, Any], words: str) -> None:
    """Wrong model, head, layers, experts, or a budget that was never measured."""
    with pytest.raises(InputError, match=words):
        check_policy(Policy(**values), tiny_model)


def test_a_policy_that_fits_passes(tiny_model: RoutedModel) -> None:
    """Thresholds are used instead of the budget, so a budget outside the measured range does not matter then."""
    check_policy(
        Policy(budget=0.1, thresholds_L=(0.0, 0.97), unavailable=((0, 3),), head="mood", model_sha256="a" * 64,
               escalation=Escalation(margin_below=0.1)),
        tiny_model,
    )  # fmt: skip
