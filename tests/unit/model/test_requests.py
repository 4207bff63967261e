"""What comes with a text to answer."""

import pytest

from moe_core.errors import InputError
from moe_core.model.requests import TextRequest, check_labels


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TextRequest(text="a", domain="\ud800"), "Text 4: domain is '\\\\ud800', not a text"),
        (TextRequest(text="a", reference_label=3), "Text 4: reference label is 3, .* convert it with str"),  # type: ignore[arg-type]
        (TextRequest(text="a", attributes={"age": 30}), "attribute 'age' is 30"),  # type: ignore[dict-item]
        (TextRequest(text="a", attributes={"age": None}), "attribute 'age' is"),  # type: ignore[dict-item]
        (TextRequest(text="a", attributes={"\udfff": "x"}), "attribute name is"),
    ],
)
def test_labels_that_a_log_cannot_hold_are_refused_before_anything_runs(request_: TextRequest, message: str) -> None:
    """Half of a surrogate pair, a number, nothing: said with the number of the text."""
    with pytest.raises(InputError, match=message):
        check_labels(request_, 4)


def test_labels_in_any_script_are_taken() -> None:
    """Japanese and emoji are texts like others."""
    check_labels(TextRequest(text="a", domain="日本語", reference_label=None, attributes={"気分": "😀"}), 1)
