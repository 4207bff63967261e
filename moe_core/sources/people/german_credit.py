"""German credit: 1,000 loan applicants of a German bank, 1973 to 1975, rated good or bad (UCI, CC BY 4.0).

The codes of this copy are known to be partly wrong, sex among them (U. Groemping, South German Credit Data, 2019): it
is offered because it is widely used, and small. Sex comes in one code with the marital status, which is left out of
the text therefore.
"""

from collections.abc import Iterator
from pathlib import Path

from moe_core.sources.people.person import Person, age_band, amount

CODES = {
    "A11": "the account is overdrawn", "A12": "under 200 marks in the account",
    "A13": "200 marks or more in the account",
    "A14": "no account at the bank",
    "A30": "no earlier credit", "A31": "all credits at this bank paid back", "A32": "current credits paid back so far",
    "A33": "late with payments in the past", "A34": "other credits elsewhere, critical account",
    "A40": "a new car", "A41": "a used car", "A42": "furniture", "A43": "radio or television",
    "A44": "household appliances", "A45": "repairs", "A46": "education", "A48": "retraining", "A49": "a business",
    "A410": "other things",
    "A61": "savings under 100 marks", "A62": "savings of 100 to 500 marks", "A63": "savings of 500 to 1000 marks",
    "A64": "savings above 1000 marks", "A65": "no known savings",
    "A71": "unemployed", "A72": "in the job for under a year", "A73": "in the job for one to four years",
    "A74": "in the job for four to seven years", "A75": "in the job for seven years or more",
    "A101": "nobody else signs", "A102": "with a second applicant", "A103": "with a guarantor",
    "A121": "owns real estate", "A122": "has a building society or life insurance contract", "A123": "owns a car",
    "A124": "no known property",
    "A141": "also pays instalments to a bank", "A142": "also pays instalments to shops", "A143": "no other instalments",
    "A151": "lives in rented rooms", "A152": "lives in a house of their own", "A153": "lives rent-free",
    "A171": "unskilled, not resident", "A172": "unskilled, resident", "A173": "skilled work",
    "A174": "management or highly qualified work",
    "A191": "no telephone", "A192": "has a telephone",
}  # fmt: skip
FEMALE = ("A92", "A95")
FIELDS = 21


def read_german_credit(folder: Path) -> Iterator[Person]:
    """Yield all 1,000 applicants."""
    for line in next(folder.rglob("german.data")).read_text(encoding="utf-8").splitlines():
        row = line.split()
        if len(row) == FIELDS:
            yield _person(row)


def _person(row: list[str]) -> Person:
    age, sex = int(row[12]), "female" if row[8] in FEMALE else "male"
    origin = "foreign worker" if row[19] == "A201" else "no foreign worker"
    facts = [
        f"asks for {amount(float(row[4]), 'marks')} over {row[1]} months for {CODES.get(row[3], 'other things')}",
        f"pays {row[7]} % of the income as instalment",
        f"{CODES[row[0]]}, {CODES[row[5]]}",
        f"{CODES[row[2]]}; credits at this bank: {row[15]}",
        f"{CODES[row[16]]}, {CODES[row[6]]}",
        f"{CODES[row[14]]} for {row[10]} years, {CODES[row[11]]}",
        f"{CODES[row[9]]}, {CODES[row[13]]}, {CODES[row[18]]}",
        f"supports {row[17]} {'person' if row[17] == '1' else 'persons'}",
    ]
    return Person(
        facts=facts,
        protected={"age": f"{age} years old", "sex": sex, "origin": origin},
        label="good" if row[20] == "1" else "bad",
        attributes={"sex": sex, "age": age_band(age), "origin": origin},
    )
