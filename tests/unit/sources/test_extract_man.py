"""Text of manual pages."""

from moe_core.sources.extract_man import man_blocks


def test_font_macros_and_escapes_leave_only_words() -> None:
    r"""`.B`, `.BR` and `\f` vanish; the words they dress stay in the sentence."""
    page = "The\n.B epoll\ncall is like\n.BR poll (2):\nit \\fIwaits\\fP for \\fBall\\fR of them."
    assert man_blocks(page) == ["The epoll call is like poll(2): it waits for all of them."]


def test_sections_and_paragraphs_end_a_paragraph() -> None:
    """Section titles stand alone, and paragraph macros separate what is around them."""
    page = '.TH X 1\n.SH "SEE ALSO"\nOne.\n.PP\nTwo.\n.TP\nThree.'
    assert man_blocks(page) == ["SEE ALSO", "One.", "Two.", "Three."]


def test_comments_tables_and_displays_are_left_out() -> None:
    """What is not prose does not reach the corpus."""
    page = '.\\" secret\nKept.\n.nf\nint x;\n.fi\n.TS\nl l.\na b\n.TE\n.EX\ncode\n.EE\nAlso kept.'
    assert man_blocks(page) == ["Kept.", "Also kept."]


def test_named_characters_become_plain() -> None:
    r"""Quotes, dashes and bullets become plain characters; `\e0` is a written `\0`."""
    page = "\\(lqquoted\\(rq \\[em] a\\-b \\(bu it\\(aqs a null byte (\\(aq\\e0\\(aq)."
    assert man_blocks(page) == ["\"quoted\" - a-b it's a null byte ('\\0')."]


def test_an_argument_with_spaces_stays_whole() -> None:
    """Quoted arguments and protected spaces are one argument; glued fonts add no space."""
    assert man_blocks('.BR "two words" ,\nrest\\ of it') == ["two words, rest of it"]
