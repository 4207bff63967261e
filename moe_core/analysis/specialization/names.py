"""Short names of experts, made of called findings only: what an expert runs for, how much more often, and over how
much.

The number in a name is the lift on the second half of the documents, on which nothing was chosen: the first half found
the cell, so its lift there is too large on average.
"""

from collections.abc import Callable

import pandas as pd

from moe_core.analysis.message import N_, Message, named
from moe_core.analysis.specialization.features import POSITION_NAMES
from moe_core.analysis.specialization.word_classes import CLASS_NAMES, PIECE_NAMES

Words = Callable[[int], str]  # token id -> what to show for it, empty where unknown


def no_words(token_id: int) -> str:
    """For a run whose pieces are not known."""
    return ""


def feature_name(kind: str, value: str, words: Words = no_words) -> Message:
    """What a feature is called."""
    if kind == "token":
        piece = words(int(value))
        if piece:
            return Message(N_("the token “{piece}”"), {"piece": piece})
        return Message(N_("token number {token_id}"), {"token_id": value})
    if kind == "domain":
        return Message(N_("texts of “{domain}”"), {"domain": named(value)})
    known = {"class": CLASS_NAMES, "piece": PIECE_NAMES, "position": POSITION_NAMES, "decile": POSITION_NAMES}[kind]
    name = known[value]
    return Message(name, {"i": int(value.removeprefix("decile"))} if kind == "decile" else {})


def expert_names(called: pd.DataFrame, words: Words = no_words) -> dict[tuple[int, int], Message]:
    """Rows of `Calls.frame` (of all kinds) -> (layer, expert_id) -> name; experts without a called row have none.

    Of several findings the one that explains most of the expert's runs names it (`excess`); those that it runs for come
    before those that it avoids.
    """
    names = {}
    rows = called[called["called"]].assign(runs_for=lambda frame: frame["held_lift"] > 1, size=called["excess"].abs())
    rows = rows.sort_values(["runs_for", "size"], ascending=False, kind="stable")
    for row in rows.drop_duplicates(["layer", "expert_id"]).itertuples():
        msgid = (
            N_("runs for {what}: {lift:.1f}×, n = {n:,}") if row.runs_for
            else N_("avoids {what}: {lift:.2f}×, n = {n:,}")
        )  # fmt: skip
        params = {"what": feature_name(row.kind, row.value, words), "lift": row.held_lift, "n": row.held_n}
        names[int(row.layer), int(row.expert_id)] = Message(msgid, params)
    return names
