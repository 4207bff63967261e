"""Files of texts: three formats, UTF-8 only, every refusal names file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.errors import InputError
from moe_core.request_files import read_rows


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_three_formats_give_the_same_rows(tmp_path: Path) -> None:
    """Text, label, domain, attributes and id arrive from CSV and JSON lines alike; .txt has texts only."""
    table = write(tmp_path, "a.csv", 'id,text,label,area,sex\n7,"Hello, you",good,x,f\n8,Bye,bad,y,m\n')
    lines = write(
        tmp_path,
        "a.jsonl",
        '{"id": 7, "text": "Hello, you", "label": "good", "area": "x", "sex": "f"}\n'
        '{"id": 8, "text": "Bye", "label": "bad", "area": "y", "sex": "m"}\n',
    )
    from_csv = read_rows(table, attributes=["sex"], domain="area")
    from_json = read_rows(lines, attributes=["sex"], domain="area")
    assert [(r.text, r.label, r.domain, r.attributes) for r in from_csv] == [
        ("Hello, you", "good", "x", {"sex": "f", "id": "7"}),
        ("Bye", "bad", "y", {"sex": "m", "id": "8"}),
    ]
    assert [(r.text, r.label, r.domain, r.attributes) for r in from_json] == [
        (r.text, r.label, r.domain, r.attributes) for r in from_csv
    ]
    plain = read_rows(write(tmp_path, "a.txt", "\ufeffone\n\ntwo\r\n"))
    assert [(r.number, r.text) for r in plain] == [(1, "one"), (3, "two")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "a,b\n1,2\n", r"line 2: there is no column 'text'; it has: a, b"),
        ("a.csv", "text\nx,y\n", "more fields than columns"),
        ("a.csv", 'text\n"open\n', "not valid CSV"),
        ("a.csv", "text,text\na,b\n", "names a column twice"),
        ("a.csv", "text\n  \n", "holds no text"),
        ("a.csv", "", "is empty"),
        ("a.jsonl", '{"text": "a"}\nnope\n', "line 2: not valid JSON"),
        ("a.jsonl", '["a"]\n', "line 1: not a JSON object"),
        ("a.jsonl", '{"text": 3}\n', "line 1: column 'text' holds no text"),
        ("a.txt", b"fine\n\xff\xfe bad\n", r"line 2: byte 5 is not UTF-8"),
        ("a.txt", "   \n\n", "holds no text"),
        ("a.xlsx", "x", r"has the ending \.xlsx"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    """One sentence that says where."""
    with pytest.raises(InputError, match=message):
        read_rows(write(tmp_path, name, content))


def test_missing_files_folders_and_columns_of_plain_text_are_refused(tmp_path: Path) -> None:
    """What is not a file, is not there, or has no columns."""
    with pytest.raises(InputError, match="There is no file"):
        read_rows(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is not a file"):
        read_rows(tmp_path)
    with pytest.raises(InputError, match="no columns"):
        read_rows(write(tmp_path, "a.txt", "x"), attributes=["sex"])


@given(st.lists(st.text(min_size=1).filter(lambda t: t.strip() and "\x00" not in t), min_size=1, max_size=5))
def test_any_text_survives_json_lines(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Control characters, line separators and quotes included."""
    import json

    path = tmp_path_factory.mktemp("x") / "a.jsonl"
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    assert [row.text for row in read_rows(path)] == texts


def test_attributes_may_stand_in_an_object_of_their_own(tmp_path: Path) -> None:
    """`--attr writer` finds `attributes.writer`; a key of the row itself goes first."""
    path = tmp_path / "f.jsonl"
    path.write_text('{"text": "a", "writer": "own", "attributes": {"writer": "nested", "age": 30}}\n', encoding="utf-8")
    (row,) = read_rows(path, attributes=["writer", "age"])
    assert row.attributes == {"writer": "own", "age": "30"}
    with pytest.raises(InputError, match="no column 'sex'"):
        read_rows(path, attributes=["sex"])
