"""COMPAS: defendants in Broward County, Florida, 2013 to 2014, and whether they were charged again within two years.

Published by ProPublica. The file holds names, birth days and case numbers in clear: they are dropped on reading. The
scores of the COMPAS tool itself are not used either, they are another model's answer. Rows are those of ProPublica's
own analysis: a screening within 30 days of the arrest, a known outcome, no ordinary traffic offence.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from moe_core.sources.people.person import Person, age_band, known

USED = ("sex", "race", "age", "juv_fel_count", "juv_misd_count", "juv_other_count", "priors_count", "c_charge_degree",
        "c_charge_desc", "two_year_recid", "days_b_screening_arrest", "is_recid", "score_text")  # fmt: skip
SCREENING_DAYS = 30


def read_compas(folder: Path) -> Iterator[Person]:
    """Yield the 6,172 persons of the published analysis, without anything that names them."""
    with next(folder.rglob("compas-scores-two-years.csv")).open(encoding="utf-8", newline="") as stream:
        for record in csv.DictReader(stream):
            row = {key: record[key] for key in USED}
            if _kept(row):
                yield _person(row)


def _kept(row: Mapping[str, str]) -> bool:
    days = row["days_b_screening_arrest"]
    near = days != "" and abs(int(float(days))) <= SCREENING_DAYS
    return near and row["is_recid"] != "-1" and row["c_charge_degree"] != "O" and row["score_text"] != "N/A"


def _person(row: Mapping[str, str]) -> Person:
    age, sex, race = int(row["age"]), row["sex"].lower(), row["race"]
    charge = known(row["c_charge_desc"])
    degree = {"F": "felony", "M": "misdemeanour"}.get(row["c_charge_degree"], "offence")
    facts = [
        f"charged with a {degree}: {charge}" if charge else f"charged with a {degree}",
        f"earlier offences: {row['priors_count']}",
        f"as a juvenile: {row['juv_fel_count']} felonies, {row['juv_misd_count']} misdemeanours, "
        f"{row['juv_other_count']} other offences",
    ]
    return Person(
        facts=facts,
        protected={"age": f"{age} years old", "sex": sex, "race": f"race: {race}"},
        label="charged again" if row["two_year_recid"] == "1" else "not charged again",
        attributes={"sex": sex, "race": race, "age": age_band(age)},
    )
