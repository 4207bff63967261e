"""A person of a public data set as a short English text: facts without the protected attributes, and those apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

AGE_BANDS = ((0, 24, "under 25"), (25, 39, "25 to 39"), (40, 59, "40 to 59"), (60, 200, "60 or older"))
PROTECTED = ("sex", "race", "age", "origin")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One row. facts: sentences that say nothing about a protected attribute in so many words (some still hint at one);
    protected: attribute -> phrase for the other variant of the text; attributes: attribute -> group."""

    facts: Sequence[str]
    protected: Mapping[str, str]
    label: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text without the protected attributes."""
        return " ".join(sentence(fact) for fact in self.facts if fact)

    @property
    def text_protected(self) -> str:
        """The same, after a sentence that names the protected attributes."""
        named = ", ".join(phrase for phrase in self.protected.values() if phrase)
        return f"{sentence(named)} {self.text}" if named else self.text

    @property
    def groups(self) -> dict[str, str]:
        """Attributes and, where both are known, the intersection of sex and race."""
        known = {key: value for key, value in self.attributes.items() if value}
        if "sex" in known and "race" in known:
            known["sex_race"] = f"{known['sex']}, {known['race']}"
        return known


def sentence(text: str) -> str:
    """A capital at the start, a full stop at the end."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def age_band(age: int) -> str:
    """The band of an age in years."""
    return next(name for low, high, name in AGE_BANDS if low <= age <= high)


def amount(value: float, unit: str = "dollars") -> str:
    """1234.5 -> 1,234 dollars."""
    return f"{value:,.0f} {unit}"


def known(value: str, missing: Sequence[str] = ("?", "", "NA")) -> str:
    """The stripped value, empty where it says that nothing is known."""
    value = value.strip()
    return "" if value in missing else value
