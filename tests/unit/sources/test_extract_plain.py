"""Text of plays, dictionaries, sayings and tab tables."""

from moe_core.sources.extract_plain import (
    foldoc_entries,
    gcide_entries,
    paragraphs,
    play_speeches,
    sayings,
    tab_rows,
)


def test_paragraphs_are_unwrapped() -> None:
    """Wrapped lines of a paragraph become one line."""
    assert paragraphs("One\ntwo.\n\n\nThree.") == ["One two.", "Three."]


def test_a_play_gives_speeches_only() -> None:
    """Persons, headings, speakers and stage directions are dropped; verse lines are joined."""
    text = (
        "MACBETH\n\nPersons\n\nDUNCAN, King.\n\nACT I.\n\nSCENE I. A heath.\n\n[Enter Witches.]\n\n"
        "FIRST WITCH.\nWhen shall we\nmeet again?\n\nSECOND WITCH.\nSoon. [Exit.]"
    )
    assert play_speeches(text) == ["When shall we meet again?", "Soon."]


def test_computing_terms_lose_their_marks() -> None:
    """Cross-reference braces, category, date and links are removed from a definition."""
    text = "ADT\n\n   <programming> A kind of {data abstraction}.\n\n   {Paper (http://x.org)}.\n\n   (2003-07-03)\n"
    assert list(foldoc_entries(text)) == [("ADT", "A kind of data abstraction.")]


def test_a_dictionary_entry_gives_its_senses() -> None:
    """The pronunciation line, sources and numbers are dropped; each sense stands alone."""
    text = (
        'Affect \\Af*fect"\\, v. t. [L. affectus.]\n   1. To act upon; to change.\n'
        "      [1913 Webster]\n\n   2. To love.\n\nNext \\Next\\, a.\n   Nearest in place.\n"
    )
    assert list(gcide_entries(text)) == [
        ("Affect", ["To act upon; to change.", "To love."]),
        ("Next", ["Nearest in place."]),
    ]


def test_sayings_lose_their_author_and_drawings_are_dropped() -> None:
    """The line of the author goes, and so does a saying that is drawn."""
    text = "A clash is not a disaster.\n\t\t-- A. Name\n%\n/\\/\\ == || ##\n%\nBe kind.\n"
    assert sayings(text) == ["A clash is not a disaster.", "Be kind."]


def test_header_lines_of_a_tab_table_are_skipped() -> None:
    """Names, types and roles of the columns are not rows, with or without a blank line."""
    head = "Category\tText\nd\tstring\nclass\t\n"
    assert list(tab_rows(head + "\t\nearn\tnet up")) == [("earn", "net up")]
    assert list(tab_rows(head + "\nearn\tnet up")) == [("earn", "net up")]
