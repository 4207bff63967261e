"""A sentence with numbers that a page translates later: the msgid, and the numbers as they are.

The msgid carries the format (`{saving:.0%}`), so that a translation may move and format each number in
its own way, and a test can compare the numbers themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


def N_(msgid: str) -> str:
    """Mark a text for translation without translating it here."""
    return msgid


@dataclass(frozen=True, slots=True)
class Message:
    """`text(t)` is the sentence in the language of `t`. A parameter may be a message: it is translated first."""

    msgid: str
    params: Mapping[str, "Param"] = field(default_factory=dict)

    def text(self, t: Callable[[str], str] = str) -> str:
        said = {k: v.text(t) if isinstance(v, Message) else v for k, v in self.params.items()}
        return t(self.msgid).format(**said)


Param: TypeAlias = float | int | str | Message


def named(name: str) -> Message:
    """A name from the data as people read it, translated where it is known: `travel_and_hotels`."""
    return Message(name.replace("_", " ").replace("{", "{{").replace("}", "}}"))
