"""Adult: income of persons in the US census of 1994, 48,842 rows (UCI, CC BY 4.0)."""

import csv
from collections.abc import Iterator
from pathlib import Path

from moe_core.sources.people.person import Person, age_band, amount, known

WORK = {
    "Private": "works for a private company", "Self-emp-not-inc": "runs a business that is not incorporated",
    "Local-gov": "works for local government", "State-gov": "works for a state government",
    "Self-emp-inc": "runs an incorporated business", "Federal-gov": "works for the federal government",
    "Without-pay": "works without pay", "Never-worked": "has never worked",
}  # fmt: skip
EDUCATION = {
    "HS-grad": "high school diploma", "Some-college": "some college, no degree", "Bachelors": "bachelor's degree",
    "Masters": "master's degree", "Assoc-voc": "vocational associate degree", "Assoc-acdm": "academic associate degree",
    "Prof-school": "professional school degree", "Doctorate": "doctorate", "7th-8th": "seventh or eighth grade",
    "5th-6th": "fifth or sixth grade", "1st-4th": "first to fourth grade", "Preschool": "preschool only",
    "9th": "ninth grade", "10th": "tenth grade", "11th": "eleventh grade", "12th": "twelfth grade, no diploma",
}  # fmt: skip
MARITAL = {
    "Married-civ-spouse": "married", "Married-AF-spouse": "married to a member of the armed forces",
    "Married-spouse-absent": "married, living apart", "Never-married": "never married",
}  # fmt: skip
HOUSEHOLD = {  # husband and wife would name the sex
    "Husband": "lives with a spouse", "Wife": "lives with a spouse", "Not-in-family": "lives outside a family",
    "Own-child": "lives with a parent", "Unmarried": "heads a household alone",
    "Other-relative": "lives with relatives",
}  # fmt: skip
JOBS = {
    "Prof-specialty": "a professional speciality", "Craft-repair": "craft and repair",
    "Exec-managerial": "management", "Adm-clerical": "administration and clerical work",
    "Other-service": "services", "Machine-op-inspct": "operating and inspecting machines",
    "Transport-moving": "transport", "Handlers-cleaners": "handling and cleaning",
    "Farming-fishing": "farming and fishing", "Tech-support": "technical support",
    "Protective-serv": "protective services", "Priv-house-serv": "private household services",
    "Armed-Forces": "the armed forces",
}  # fmt: skip
FIELDS = 15


def read_adult(folder: Path) -> Iterator[Person]:
    """Yield every row of both files; the sampling weight is left out."""
    for name in ("adult.data", "adult.test"):
        with next(folder.rglob(name)).open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream, skipinitialspace=True):
                if len(row) == FIELDS:
                    yield _person(row)


def _person(row: list[str]) -> Person:
    age, sex, race = int(row[0]), row[9].lower(), row[8].replace("-", " ")
    country = known(row[13]).replace("-", " ")
    born = f"born in {country}" if country else ""
    work = WORK.get(row[1], "")
    job = known(row[6])
    facts = [
        work,
        f"job in {JOBS.get(job, job.lower())}, {row[12]} hours a week" if job else f"{row[12]} hours of work a week",
        f"education: {EDUCATION.get(row[3], row[3])}",
        f"{MARITAL.get(row[5], row[5].lower())}, {HOUSEHOLD.get(row[7], row[7].lower())}",
        f"capital gain {amount(float(row[10]))}" if row[10] != "0" else "",
        f"capital loss {amount(float(row[11]))}" if row[11] != "0" else "",
    ]
    return Person(
        facts=facts,
        protected={"age": f"{age} years old", "sex": sex, "race": f"race: {race}", "origin": born},
        label="over 50K" if row[14].startswith(">50K") else "up to 50K",
        attributes={
            "sex": sex, "race": race, "age": age_band(age),
            "origin": "" if not country else "US" if country == "United States" else "other country",
        },
    )  # fmt: skip
