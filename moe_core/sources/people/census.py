"""KDD Census-Income: persons in the US Current Population Survey of 1994 and 1995 (UCI, CC BY 4.0).

299,285 rows, of which those aged 18 or more are used; a fixed sample of them, drawn by a hash of the row, is kept,
since the set is there for small groups and intersections and one row is one text to run. The file has no header.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from moe_core.sources.passages import stable_number
from moe_core.sources.people.person import Person, age_band, amount, known

FIELDS = 42
ADULT = 18
KEPT = 5  # one adult in five: about 43,000
NOTHING = ("?", "", "NA", "0", "Not in universe", "Not in universe or children", "Do not know")
RACES = {"Asian or Pacific Islander": "Asian or Pacific Islander", "Amer Indian Aleut or Eskimo": "American Indian"}
HISPANIC_NOT = ("All other", "NA", "Do not know")


def read_census(folder: Path) -> Iterator[Person]:
    """Yield the kept adults of both files."""
    for name in ("census_income_1994_1995_train.csv", "census_income_1994_1995_test.csv"):
        with next(folder.rglob(name)).open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream, skipinitialspace=True):
                if len(row) == FIELDS and int(row[0]) >= ADULT and stable_number("|".join(row)) % KEPT == 0:
                    yield _person([value.strip() for value in row])


def _person(row: list[str]) -> Person:
    age, sex, race = int(row[0]), row[12].lower(), RACES.get(row[10], row[10])
    hispanic = "" if row[11] in ("NA", "Do not know") else "no" if row[11] in HISPANIC_NOT else "yes"
    citizen = "" if not row[35] else "born in the US" if row[35].startswith("Native") else "born abroad"
    weeks, industry, job = known(row[39], NOTHING), known(row[8], NOTHING), known(row[9], NOTHING)
    worker, union = known(row[1], NOTHING), known(row[13], NOTHING)
    money = {"hourly wage": float(row[5]) / 100, "capital gain": float(row[16]), "capital loss": float(row[17]),
             "dividends": float(row[18])}  # fmt: skip
    facts = [
        f"education: {row[4].lower()}",
        f"class of worker: {worker.lower()}" if worker else "no class of worker",
        f"{job.lower()} in {industry.lower()}" if job and industry else "",
        f"{weeks} weeks of work in the year, employer of size class {row[30]}" if weeks else "no weeks of work",
        f"employment: {row[15].lower()}",
        f"enrolled in {row[6].lower()}" if known(row[6], NOTHING) else "",
        "member of a union" if union == "Yes" else "",
        f"{row[7].replace('A F', 'armed forces').lower()}, {row[23].lower()}",
        f"tax filing: {row[19].lower()}",
        *(f"{name} {amount(value)}" for name, value in money.items() if value),
        "self-employed or owns a business" if row[36] == "2" else "",
    ]
    return Person(
        facts=facts,
        protected={
            "age": f"{age} years old", "sex": sex, "race": f"race: {race}",
            "hispanic": "Hispanic" if hispanic == "yes" else "", "origin": citizen,
        },
        label="over 50K" if "50000+" in row[41] else "up to 50K",
        attributes={"sex": sex, "race": race, "age": age_band(age), "hispanic": hispanic, "origin": citizen},
    )  # fmt: skip
