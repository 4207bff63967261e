"""The bits of a decision's `flags` column, in words."""

from moe_core.analysis.message import N_
from moe_core.dashboard.i18n import Translate
from moe_core.records import DecisionFlag

FLAG_WORDS: dict[DecisionFlag, str] = {
    DecisionFlag.FLOOR: N_("ran below its threshold, because at least one expert must run"),
    DecisionFlag.FAILOVER: N_("stood in for an expert that was not available"),
    DecisionFlag.DROPPED: N_("chosen, but dropped for lack of capacity"),
    DecisionFlag.SHARED: N_("shared expert, always runs"),
    DecisionFlag.IMPORTED: N_("imported, not recorded live"),
}


def flag_words(flags: int, t: Translate) -> str:
    """The set bits as words, separated by semicolons; empty where none is set. Unknown bits keep their number."""
    words = [t(text) for flag, text in FLAG_WORDS.items() if flags & flag]
    unknown = flags & ~sum(FLAG_WORDS)
    if unknown:
        words.append(t("unknown flag {bits}").format(bits=unknown))
    return "; ".join(words)
