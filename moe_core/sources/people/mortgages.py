"""Mortgages: 1,989 applications in Boston, 1990 (Home Mortgage Disclosure Act with the Boston Fed's survey).

From the data sets of J. Wooldridge's textbook (`loanapp`: W. C. Hunter and M. B. Walker, 1996). The label is what the
lender decided, so a head learns the lender's decisions, not who pays back.
"""

import bz2
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from moe_core.sources.people.person import Person, amount, known

CREDIT = {
    "1": "no slow payments", "2": "one or two slow payments", "3": "more than two slow payments",
    "4": "too little history", "5": "delinquent history, 60 days", "6": "delinquent history, 90 days",
}  # fmt: skip


def read_mortgages(folder: Path) -> Iterator[Person]:
    """Yield all applications; race is the applicant's as recorded: black, Hispanic or white."""
    with bz2.open(next(folder.rglob("loanapp.csv.bz2")), "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield _person(row)


def _person(row: Mapping[str, str]) -> Person:
    sex = {"1": "male", "0": "female"}.get(known(row["male"]), "")
    race = "black" if row["black"] == "1" else "Hispanic" if row["hispan"] == "1" else "white"
    married = {"1": "married", "0": "not married"}.get(known(row["married"]), "")
    dependents = known(row["dep"])
    facts = [
        f"asks for {amount(1000 * float(row['loanamt']))} to buy for {amount(1000 * float(row['price']))}",
        f"appraised at {amount(1000 * float(row['apr']))}" if known(row["apr"]) else "",
        f"monthly income {amount(float(row['atotinc']))}, second applicant {amount(float(row['cototinc']))}",
        f"housing costs {float(row['hrat']):.0f} % and all debts {float(row['obrat']):.0f} % of the income",
        f"liquid assets {amount(1000 * float(row['liq']))}" if known(row["liq"]) else "",
        f"credit history: {CREDIT.get(row['cons'], 'not recorded')}",
        "has filed for bankruptcy" if row["pubrec"] == "1" else "",
        "meets the guidelines for credit history" if row["gdlin"] == "1" else "",
        "some information cannot be verified" if row["unver"] == "1" else "",
        "self-employed" if row["self"] == "1" else "",
        f"{married}, {dependents} dependants" if married and dependents else married,
        "more than 12 years of school" if row["sch"] == "1" else "12 years of school or less",
        "two or more units" if row["multi"] == "1" else "",
        f"unemployment in the line of work {float(row['unem']):.1f} %" if known(row["unem"]) else "",
    ]
    older = {"1": "older than the median applicant", "0": "not older than the median applicant"}.get(row["old"], "")
    return Person(
        facts=facts,
        protected={"sex": sex, "race": f"race: {race}", "age": older},
        label="approved" if row["approve"] == "1" else "rejected",
        attributes={"sex": sex, "race": race, "age": older},
    )
