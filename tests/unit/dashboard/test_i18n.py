"""Every text exists in Japanese, with the same numbers in it."""

import ast
import os
import string
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from moe_core.dashboard import i18n

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("moe_core/analysis", "moe_core/charts", "moe_core/dashboard", "moe_core/explain", "pages")
MARKERS = ("t", "N_")


def marked_texts() -> dict[str, str]:
    """msgid -> file, for every literal text that is given to `t` or `N_` (f-strings included: ast sees them)."""
    texts: dict[str, str] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _name(node.func) in MARKERS and node.args:
                    argument = node.args[0]
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        texts[argument.value] = str(path.relative_to(ROOT))
    return texts


def _name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else None


def catalogue() -> Catalog:
    """The Japanese texts."""
    with i18n.catalogue_path("ja").open("rb") as file:
        return read_po(file, abort_invalid=True)


def fields(text: str) -> set[tuple[str, str]]:
    """Placeholders with their format."""
    return {(name, spec or "") for _, name, spec, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_has_a_translation() -> None:
    """No page shows English between Japanese because a text was forgotten."""
    known = {message.id for message in catalogue() if message.id}
    missing = {text: where for text, where in marked_texts().items() if text not in known}
    assert not missing


def test_no_translation_is_left_over() -> None:
    """A text that no code uses any more is removed."""
    used = set(marked_texts())
    assert not [message.id for message in catalogue() if message.id and message.id not in used]


def test_no_translation_is_empty_or_fuzzy() -> None:
    """gettext falls back to English for both without a word."""
    for message in catalogue():
        if message.id:
            assert message.string
            assert not message.fuzzy


def test_translations_keep_placeholders_and_their_formats() -> None:
    """The same numbers, formatted the same way, stand in both languages."""
    for message in catalogue():
        if message.id:
            assert fields(message.id) == fields(message.string), message.id


def test_a_text_is_never_built_before_it_is_translated() -> None:
    """`t(f"...")` can have no translation: the numbers are put in afterwards."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _name(node.func) in MARKERS and node.args:
                    assert not isinstance(node.args[0], ast.JoinedStr), f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param(("ja", "en"), "ja", id="first wins"),
        pytest.param((None, "ja-JP"), "ja", id="region"),
        pytest.param(("fr", "JA_jp"), "ja", id="unknown is passed over"),
        pytest.param(("", None, "de"), "en", id="English in the end"),
        pytest.param(("<script>",), "en", id="nonsense"),
    ],
)
def test_the_language_is_chosen_from_link_session_and_browser(tags: tuple[str | None, ...], expected: str) -> None:
    """The first tag that is one of ours, else English."""
    assert i18n.choose_language(*tags) == expected


def test_languages_do_not_leak_between_visitors() -> None:
    """Two translators side by side each keep their language; an unknown text stays as it is."""
    english, japanese = i18n.translator("en"), i18n.translator("ja")
    assert (english("Overview"), japanese("Overview"), english("Overview")) == ("Overview", "概要", "Overview")
    assert japanese("no such text") == "no such text"
    assert japanese("") == ""


def test_a_missing_or_stale_mo_never_leaves_old_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a .mo, and with one that is older than the .po, the .po itself is compiled in memory."""
    folder = tmp_path / "ja" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    po, mo = folder / "routelens.po", folder / "routelens.mo"
    header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    monkeypatch.setattr(i18n, "LOCALE_DIR", tmp_path)
    po.write_text(header + 'msgid "Run"\nmsgstr "古い"\n', encoding="utf-8")
    assert i18n.load_catalogue("ja").gettext("Run") == "古い"
    mo.write_bytes(i18n.compile_catalogue(po).getvalue())
    po.write_text(header + 'msgid "Run"\nmsgstr "新しい"\n', encoding="utf-8")
    os.utime(mo, (1, 1))
    assert i18n.load_catalogue("ja").gettext("Run") == "新しい"
    mo.write_bytes(i18n.compile_catalogue(po).getvalue())
    po.write_text("not a catalogue", encoding="utf-8")
    os.utime(po, (1, 1))
    assert i18n.load_catalogue("ja").gettext("Run") == "新しい"
