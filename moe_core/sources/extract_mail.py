"""Text of e-mails: body only, without markup, quotations and addresses."""

import email
import email.policy
import re
from email.message import Message
from html import unescape

_QUOTED = re.compile(r"^\s*([>|}:]|\w{0,3}>)")
_ATTRIBUTION = re.compile(r"(wrote|writes|said|schrieb)\s*:\s*$|^-+ ?original message|^-+ ?forwarded", re.IGNORECASE)
_SIGNATURE = re.compile(r"^(--\s*|_{5,}|-{5,}|={5,}|\*{5,}|-+ ?(begin|end) pgp.*)$", re.IGNORECASE)
_ADDRESS = re.compile(r"[\w.+'-]+\s?(?:@|\[at\]|\(at\))\s?[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_LINK = re.compile(r"(?:https?|ftp)://\S+|\bwww\.[^\s]+", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d() .-]{7,}\d(?!\w)")
_TAG = re.compile(r"<[^<>]*>")
_HIDDEN = re.compile(r"<(script|style|head|title)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_BLOCK_TAG = re.compile(r"</?(p|br|div|tr|li|h\d|table|td|hr)\b[^<>]*>", re.IGNORECASE)


def mail_body(raw: bytes) -> str:
    """Return the readable text of a raw mail, masked; "" when it has none.

    Headers, HTML markup, quoted lines, attributions and signatures are removed; e-mail addresses,
    links and telephone numbers become `[email]`, `[link]` and `[phone]`, because the mails are
    personal data of third parties.
    """
    if raw.startswith(b"From "):
        raw = raw.partition(b"\n")[2]
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    text = _readable_part(message)
    return mask_personal(_own_words(text)).strip()


def mask_personal(text: str) -> str:
    """Replace e-mail addresses, links and telephone numbers by placeholders."""
    text = _LINK.sub("[link]", text)
    text = _ADDRESS.sub("[email]", text)
    return _PHONE.sub("[phone]", text)


def _readable_part(message: Message) -> str:
    plain, markup = [], []
    for part in message.walk():
        if part.is_multipart() or part.get_filename():
            continue
        kind = part.get_content_type()
        if kind == "text/plain":
            plain.append(_decode(part))
        elif kind == "text/html":
            markup.append(_strip_markup(_decode(part)))
    text = "\n".join(plain) if any(piece.strip() for piece in plain) else "\n".join(markup)
    return _strip_markup(text) if re.search(r"<(html|body|table|font|br|p)\b", text, re.I) else text


def _decode(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset("utf-8")
    for name in (charset, "utf-8", "latin-1"):
        try:
            return payload.decode(name)
        except (LookupError, UnicodeDecodeError):
            continue
    return ""


def _strip_markup(text: str) -> str:
    text = _HIDDEN.sub(" ", text)
    text = _BLOCK_TAG.sub("\n\n", text)
    return unescape(_TAG.sub(" ", text)).replace("\xa0", " ")


def _own_words(text: str) -> str:
    """Drop quotations, the lines that introduce them, and everything below a signature mark."""
    kept: list[str] = []
    for line in text.replace("\r", "").splitlines():
        if _SIGNATURE.match(line.strip()):
            if line.strip() == "--" and sum(map(len, kept)) > 40:
                break
            kept.append("")
        elif not _QUOTED.match(line) and not _ATTRIBUTION.search(line):
            kept.append(line.strip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept))
