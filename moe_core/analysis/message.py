"""A sentence with numbers that a page translates later: the msgid, and the numbers as they are.

The msgid carries the format (`{saving:.0%}`), so that a translation may move and format each number in
its own way, and a test can compare the numbers themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


def N_(msgid: str) -> str:
    """Mark a text for translation without translating it here."""
    return msgid


@dataclass(frozen=True, slots=True)
class Message:
    """`text(t)` is the sentence in the language of `t`; a parameter may be a message itself."""

    msgid: str
    params: "Mapping[str, float | int | str | Message]" = field(default_factory=dict)

    def text(self, t: Callable[[str], str] = str) -> str:
        params = {name: value.text(t) if isinstance(value, Message) else value for name, value in self.params.items()}
        return t(self.msgid).format(**params)


def named(name: str) -> Message:
    """A name from the data as people read it, translated where it is known: `travel_and_hotels`."""
    return Message(name.replace("_", " ").replace("{", "{{").replace("}", "}}"))
