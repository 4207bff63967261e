"""Text of e-mails."""

from moe_core.sources.extract_mail import mail_body, mask_personal


def test_headers_are_removed() -> None:
    """Neither the mailbox line nor any header is part of the body."""
    raw = b"From a@b.org Mon\nFrom: Ann <a@b.org>\nSubject: secret\n\nHello there.\n"
    assert mail_body(raw) == "Hello there."


def test_personal_data_is_masked() -> None:
    """Addresses, links and telephone numbers become placeholders; prices and years stay."""
    text = "Mail ann.b@site.org or see http://x.org/?u=ann, call +1 (555) 123-4567, $20 in 2002."
    assert mask_personal(text) == "Mail [email] or see [link] call [phone], $20 in 2002."


def test_quotations_and_signatures_are_removed() -> None:
    """Only the words of the sender are kept, so that a reply does not repeat another mail."""
    raw = (
        b"Subject: x\n\nOn Monday Bob wrote:\n> his words\n| and his\nMy own words, which are long "
        b"enough to be the body.\n--\nAnn\nDirector"
    )
    assert mail_body(raw) == "My own words, which are long enough to be the body."


def test_markup_becomes_text() -> None:
    """An HTML mail gives its visible words; styles, comments and tags vanish."""
    raw = b"Content-Type: text/html\n\n<html><style>p {}</style><p>Buy &amp; save</p><!-- x --><p>Now</p></html>"
    assert mail_body(raw).split() == ["Buy", "&", "save", "Now"]


def test_the_plain_part_of_a_mixed_mail_is_taken() -> None:
    """Of a text and an HTML version of the same words, the text is read."""
    raw = (
        b'Content-Type: multipart/alternative; boundary="x"\n\n--x\nContent-Type: text/plain\n\n'
        b"Plain words.\n--x\nContent-Type: text/html\n\n<p>Marked words.</p>\n--x--\n"
    )
    assert mail_body(raw) == "Plain words."


def test_an_unknown_character_set_does_not_stop_the_reader() -> None:
    """A mail that names a character set nobody knows is read as far as possible."""
    raw = b"Content-Type: text/plain; charset=x-odd\n\ncaf\xe9 is open\n"
    assert mail_body(raw) == "caf\xe9 is open"
