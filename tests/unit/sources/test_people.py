"""People as text: what stands in it, what never does, and the two halves."""

import bz2
import json
from pathlib import Path

import pytest

from moe_core.errors import SourceError
from moe_core.sources.people import build
from moe_core.sources.people.adult import read_adult
from moe_core.sources.people.census import read_census
from moe_core.sources.people.compas import read_compas
from moe_core.sources.people.german_credit import read_german_credit
from moe_core.sources.people.mortgages import read_mortgages
from moe_core.sources.people.person import Person, age_band, sentence
from moe_core.sources.tasks import normalise

ADULT = (
    "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, {c}, "
    "{y}"
)
COMPAS = {
    "name": "miguel hernandez", "first": "miguel", "last": "hernandez", "dob": "1947-04-18", "sex": "Male", "age": "69",
    "race": "Other", "juv_fel_count": "0", "juv_misd_count": "1", "juv_other_count": "0", "priors_count": "3",
    "days_b_screening_arrest": "-1", "c_charge_degree": "F", "c_charge_desc": "Grand Theft", "is_recid": "0",
    "score_text": "Low", "decile_score": "7", "c_case_number": "13011352CF10A", "two_year_recid": "1",
}  # fmt: skip
GERMAN = "A11 6 A34 A43 1169 A65 A75 4 {s} A101 4 A121 67 A143 A152 2 A173 1 A192 A201 {y}"
CENSUS = (
    "58, Private, 4, 34, High school graduate, 1250, Not in universe, Divorced, Construction, Sales, Black, {h}, "
    "Female, Yes, Not in universe, Full-time schedules, 0, 0, 90, Single, South, Arkansas, Householder, "
    "Householder, 1053.55, MSA to MSA, Same county, Same county, No, Yes, 1, Not in universe, Mexico, Mexico, Mexico, "
    "Foreign born- Not a citizen of U S, 0, Not in universe, 2, 52, 94, {y}"
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "package" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_an_adult_is_told_without_and_with_protected_attributes(tmp_path: Path) -> None:
    """The plain text holds no sex, race, age or country; the other starts with them. An unknown country stays
    unknown."""
    write(tmp_path, "adult.data", ADULT.format(c="Mexico", y="<=50K") + "\n\n")
    write(tmp_path, "adult.test", "|1x3 Cross validator\n" + ADULT.format(c="?", y=">50K.") + "\n")
    first, second = read_adult(tmp_path)
    assert first.text == (
        "Works for a state government. Job in administration and clerical work, 40 hours a week. Education: bachelor's "
        "degree. Never married, lives outside a family. Capital gain 2,174 dollars."
    )
    assert first.text_protected == "39 years old, male, race: White, born in Mexico. " + first.text
    assert first.groups == {"sex": "male", "race": "White", "age": "25 to 39", "origin": "other country",
                            "sex_race": "male, White"}  # fmt: skip
    assert (first.label, second.label) == ("up to 50K", "over 50K")
    assert "origin" not in second.groups
    assert "born" not in second.text_protected


def test_husband_and_wife_read_the_same(tmp_path: Path) -> None:
    """A word that names the sex is not left in the plain text."""
    write(tmp_path, "adult.data", "\n".join(ADULT.format(c="?", y="<=50K").replace("Not-in-family", r)
                                            for r in ("Husband", "Wife")))  # fmt: skip
    write(tmp_path, "adult.test", "")
    husband, wife = read_adult(tmp_path)
    assert husband.text == wife.text
    assert "lives with a spouse" in wife.text


def test_names_birth_days_and_case_numbers_are_dropped_on_reading(tmp_path: Path) -> None:
    """Nothing of COMPAS that names a person reaches a text or an attribute, nor does the score of the other model."""
    header = ",".join(COMPAS)
    late = {**COMPAS, "days_b_screening_arrest": "31"}
    rows = [",".join(each.values()) for each in (COMPAS, late, {**COMPAS, "days_b_screening_arrest": ""})]
    write(tmp_path, "compas-scores-two-years.csv", "\n".join([header, *rows]))
    (person,) = read_compas(tmp_path)
    everything = json.dumps([person.text_protected, person.groups, person.label]).lower()
    for secret in ("miguel", "hernandez", "1947", "13011352", "low", "7"):
        assert secret not in everything
    assert person.text.startswith("Charged with a felony: Grand Theft. Earlier offences: 3.")
    assert person.label == "charged again"
    assert person.groups["age"] == "60 or older"


def test_a_credit_applicant_and_the_code_that_holds_the_sex(tmp_path: Path) -> None:
    """Sex comes from the code of the marital status, which stays out of the text."""
    write(tmp_path, "german.data", GERMAN.format(s="A92", y="2") + "\n" + GERMAN.format(s="A93", y="1"))
    woman, man = read_german_credit(tmp_path)
    assert woman.text == man.text
    assert "asks for 1,169 marks over 6 months for radio or television" in woman.text.lower()
    assert [p.groups["sex"] for p in (woman, man)] == ["female", "male"]
    assert [p.label for p in (woman, man)] == ["bad", "good"]


def test_a_person_of_the_census(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the survey's `not in universe` is told; children are left out; an unknown origin stays unknown."""
    monkeypatch.setattr("moe_core.sources.people.census.KEPT", 1)
    rows = [CENSUS.format(h="Mexican-American", y="50000+."), CENSUS.format(h="NA", y="- 50000.")]
    write(tmp_path, "census_income_1994_1995_train.csv", "\n".join([*rows, rows[0].replace("58,", "17,", 1)]))
    write(tmp_path, "census_income_1994_1995_test.csv", "")
    first, second = read_census(tmp_path)
    assert "universe" not in first.text.lower()
    assert "Hourly wage 12 dollars." in first.text
    assert "Member of a union." in first.text
    assert first.text_protected.startswith("58 years old, female, race: Black, Hispanic, born abroad.")
    assert first.groups["hispanic"] == "yes"
    assert "hispanic" not in second.groups
    assert [p.label for p in (first, second)] == ["over 50K", "up to 50K"]


def test_a_mortgage_with_missing_values(tmp_path: Path) -> None:
    """What was not recorded is not told and belongs to no group."""
    full = {
        "loanamt": "89", "price": "118", "apr": "120", "atotinc": "5849.0", "cototinc": "0.0", "hrat": "17.6",
        "obrat": "34.5", "liq": "34.5", "cons": "1", "pubrec": "1", "gdlin": "1", "unver": "0", "self": "0",
        "married": "1", "dep": "2", "sch": "1", "multi": "0", "unem": "3.2", "old": "1", "male": "0", "black": "1",
        "hispan": "0", "approve": "1",
    }  # fmt: skip
    gaps = {**full, "male": "", "married": "", "apr": "", "black": "0", "approve": "0"}
    path = tmp_path / "loanapp.csv.bz2"
    lines = [",".join(full), *(",".join(row.values()) for row in (full, gaps))]
    path.write_bytes(bz2.compress("\n".join(lines).encode()))
    first, second = read_mortgages(tmp_path)
    assert "Asks for 89,000 dollars to buy for 118,000 dollars. Appraised at 120,000 dollars." in first.text
    assert "Married, 2 dependants." in first.text
    assert first.groups == {"sex": "female", "race": "black", "age": "older than the median applicant",
                            "sex_race": "female, black"}  # fmt: skip
    assert "Appraised" not in second.text
    assert "sex" not in second.groups
    assert (first.label, second.label) == ("approved", "rejected")


def test_the_two_halves_share_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal plain texts lie on one side, in both variants; every row has a text, a label and all attributes as keys."""
    rows = [GERMAN.format(s=("A92", "A93")[i % 2], y="1").replace("1169", str(1000 + i // 3)) for i in range(60)]
    folder = write(tmp_path, "german.data", "\n".join(rows))
    monkeypatch.setattr(build, "open_source", lambda source, cache: folder)
    summary = build.build_people("german_credit", tmp_path, tmp_path / "out")
    files = {path.stem: [json.loads(line) for line in path.read_text().splitlines()]
             for path in (tmp_path / "out" / "german_credit").glob("*.jsonl")}  # fmt: skip
    assert set(files) == {"train", "test", "train_protected", "test_protected"}
    assert len(files["train"]) + len(files["test"]) == 60 == summary["train"] + summary["test"]
    assert not {normalise(r["text"]) for r in files["train"]} & {normalise(r["text"]) for r in files["test"]}
    for side in ("train", "test"):
        for plain, protected in zip(files[side], files[f"{side}_protected"], strict=True):
            assert protected["text"].endswith(plain["text"])
            assert plain["id"] == protected["id"]
            assert {"sex", "age", "origin"} <= set(plain)
    assert summary["groups"]["sex"] == {"female": 30, "male": 30}


def test_files_that_are_not_as_expected_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, a broken number, an unknown set."""
    monkeypatch.setattr(build, "open_source", lambda source, cache: tmp_path)
    with pytest.raises(SourceError, match="not as expected"):
        build.build_people("compas", tmp_path, tmp_path / "out")
    write(tmp_path, "german.data", GERMAN.format(s="A92", y="1").replace(" 67 ", " x "))
    with pytest.raises(SourceError, match="not as expected"):
        build.build_people("german_credit", tmp_path, tmp_path / "out")
    with pytest.raises(SourceError, match="use one of adult"):
        build.build_people("nobody", tmp_path, tmp_path / "out")


def test_bands_and_sentences() -> None:
    """Bands meet without a gap; a sentence has a capital and one full stop."""
    bands = ["under 25", "25 to 39", "40 to 59", "60 or older"]
    assert [age_band(age) for age in (17, 25, 40, 60)] == bands
    assert [age_band(age) for age in (24, 39, 59, 99)] == bands
    assert sentence("  owns  a car ") == "Owns a car."
    assert Person(facts=["", "a"], protected={"sex": ""}, label="x").text_protected == "A."
