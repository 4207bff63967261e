"""Text of HTML and Mallard pages."""

import pytest

from moe_core.sources.extract_html import html_blocks, mallard_blocks


def test_nested_blocks_are_counted_once() -> None:
    """A paragraph inside a list item inside a cell gives its text once."""
    page = "<table><tr><td><ul><li><p>Only once.</p></li></ul></td></tr></table>"
    assert html_blocks(page) == ["Only once."]


def test_text_around_a_nested_block_is_kept_apart() -> None:
    """An element's own words before and after a nested list are blocks of their own."""
    page = "<ul><li>Before<ul><li>Inside</li></ul>After</li></ul>"
    assert html_blocks(page) == ["Before", "Inside", "After"]


def test_scripts_and_navigation_are_left_out() -> None:
    """Text under head, script, style, nav, header and footer never becomes a block."""
    page = (
        "<head><title>T</title></head><nav><p>Menu</p></nav><script>var p = '<p>x</p>';</script>"
        "<header><p>Top</p></header><p>Body <style>p {}</style>text</p><footer><p>End</p></footer>"
    )
    assert html_blocks(page) == ["Body text"]


def test_unclosed_paragraphs_and_items_end_where_the_next_begins() -> None:
    """HTML that leaves out end tags gives the same blocks."""
    page = "<p>One<p>Two<ul><li>Three<li>Four</ul><dl><dt>Five<dd>Six</dl>"
    assert html_blocks(page) == ["One", "Two", "Three", "Four", "Five", "Six"]


def test_preformatted_text_is_asked_for() -> None:
    """Code listings are left out by default, and keep their line breaks when asked for."""
    page = "<p>See:</p><pre>a = 1\n  b = 2</pre>"
    assert html_blocks(page) == ["See:"]
    assert html_blocks(page, keep_preformatted=True) == ["See:", "a = 1\n  b = 2"]


def test_white_space_and_entities_become_plain() -> None:
    """Line breaks and runs of spaces become one space, and entities their characters."""
    assert html_blocks("<p>a\n  b &amp; <b>c</b><br>d</p>") == ["a b & c d"]


def test_mallard_gives_titles_and_innermost_paragraphs() -> None:
    """Titles, descriptions and paragraphs are read in order; a holder of others gives none."""
    page = (
        '<page xmlns="http://projectmallard.org/1.0/"><info><desc>About it.</desc></info>'
        "<title>The <em>title</em></title><p>First.</p><desc>Holder <p>Inner.</p></desc></page>"
    )
    assert mallard_blocks(page) == ["About it.", "The title", "First.", "Inner."]


def test_broken_xml_gives_no_text() -> None:
    """A page that is not well-formed is skipped instead of stopping the build."""
    assert mallard_blocks("<page><p>open") == []


@pytest.mark.parametrize("before", ["", "<?xml version='1.0'?>", "<!-- <a> -->", "<?x <!-- ?>"])
def test_a_page_with_its_own_entities_is_not_parsed(before: str) -> None:
    """Nested entities cannot blow a small page up, because such a page is not read at all."""
    page = '<!DOCTYPE page [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><page><p>&b;</p></page>'
    assert mallard_blocks(before + page) == []


def test_a_document_type_in_an_example_does_no_harm() -> None:
    """A page that shows a document type inside its text is read as usual."""
    page = "<page><p>Write this:</p><code><![CDATA[<!DOCTYPE html>]]></code></page>"
    assert mallard_blocks(page) == ["Write this:"]
