"""Whether a report may be believed, and if not, why: the stamp AUDIT NOT VALID."""

from dataclasses import dataclass

from moe_core.analysis.audit.controls import SelfTests
from moe_core.analysis.message import N_, Message

STAMP = N_("AUDIT NOT VALID")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordCheck:
    """What the log says about itself: decisions counted, decisions in batches left out as damaged, requests that a full
    queue kept out, and whether these are sample data."""

    decisions: int
    left_out_batches: int = 0
    left_out_decisions: int = 0
    unrecorded_requests: int = 0
    demo: bool = False

    @property
    def passed(self) -> bool:
        return self.decisions > 0 and self.left_out_batches == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Validity:
    """`reasons`: why the audit is not valid; none: it is. `warnings`: what limits it all the same."""

    reasons: tuple[Message, ...]
    warnings: tuple[Message, ...]

    @property
    def valid(self) -> bool:
        return not self.reasons


def validity(tests: SelfTests, record: RecordCheck | None, smallest: int, small_group: int, detectable: float,
             dropped: float) -> Validity:  # fmt: skip
    """`smallest`: documents of the smallest tested group; `detectable`: the minimum detectable difference; `dropped`:
    share of the documents that no stratum could take."""
    reasons, warnings = [], []
    negative, positive = tests.negative, tests.positive
    if not negative.passed:
        reasons.append(Message(
            N_("Labels shuffled by {unit} ({units} of them) were found different in {found} of {shuffles} runs, where "
               "{low} to {high} are expected: documents are not independent; audit with --unit {unit}, or with a unit "
               "that contains them")
            if negative.unit not in ("request", "document") else
            N_("Labels shuffled by {unit} ({units} of them) were found different in {found} of {shuffles} runs, where "
               "{low} to {high} are expected: the error rate of this audit does not hold"),
            {"unit": negative.unit, "units": negative.units, "found": negative.found, "shuffles": negative.shuffles,
             "low": negative.limits[0], "high": negative.limits[1]},
        ))  # fmt: skip
    plant = positive.plant
    about = {"layer": plant.layer, "expert": plant.expert_id, "share": plant.share, "share_with": plant.share_with}
    if not positive.passed:
        reasons.append(Message(
            N_("A planted difference (layer {layer}, expert {expert}, {share:.1%} to {share_with:.1%}) was not found: "
               "this audit cannot see what it should"), about,
        ))  # fmt: skip
    if record is not None and not record.passed:
        reasons.append(Message(
            N_("1 batch with {decisions} decisions is left out as damaged: run `routelens verify`")
            if record.left_out_batches == 1 else
            N_("{batches} batches with {decisions} decisions are left out as damaged: run `routelens verify`"),
            {"batches": record.left_out_batches, "decisions": record.left_out_decisions},
        ))  # fmt: skip
    if record is not None and record.demo:
        warnings.append(Message(N_("DEMO DATA: these requests were written for the demonstration")))
    if smallest < small_group:
        warnings.append(Message(
            N_("Underpowered: the smallest group has {smallest} documents, fewer than {enough}; only differences of "
               "{detectable:.1%} or more would be found in 4 of 5 such logs"),
            {"smallest": smallest, "enough": small_group, "detectable": detectable},
        ))  # fmt: skip
    if positive.underpowered:
        warnings.append(Message(
            N_("A planted difference (layer {layer}, expert {expert}, {share:.1%} to {share_with:.1%}) was not found: "
               "too few documents"), about,
        ))  # fmt: skip
    if dropped > 0:
        warnings.append(Message(
            N_("{dropped:.0%} of the documents are in no stratum with two groups and were dropped from the comparison "
               "within strata"), {"dropped": dropped},
        ))  # fmt: skip
    if record is not None and record.unrecorded_requests:
        warnings.append(Message(
            N_("1 request was answered but not recorded (full queue): it is missing here")
            if record.unrecorded_requests == 1 else
            N_("{requests} requests were answered but not recorded (full queue): they are missing here"),
            {"requests": record.unrecorded_requests},
        ))  # fmt: skip
    return Validity(reasons=tuple(reasons), warnings=tuple(warnings))
