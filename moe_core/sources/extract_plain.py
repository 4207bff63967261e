"""Text of plain files: plays, dictionaries, sayings, tab tables."""

import re
from collections.abc import Iterator

_SPACE = re.compile(r"\s+")
_SPEAKER = re.compile(r"^[A-Z][A-Z'&,.\- ]{1,40}[.:]$|^[IVXLC]+\.?$|^(ACT|SCENE)\b", re.ASCII)
_STAGE = re.compile(r"^[\[_(].*[\])_]$", re.DOTALL)
_CREDIT = re.compile(r"project gutenberg|transcriber|proofread|e-?text|\*\*\*", re.IGNORECASE)
_SAYING_BY = re.compile(r"\n?\s*--\s.*", re.DOTALL)
_GCIDE_HEAD = re.compile(r"^([A-Za-z][A-Za-z' -]*?) \\[^\\]+\\")


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text (blank lines between them), each on one line."""
    blocks = re.split(r"\n\s*\n", text.replace("\r", ""))
    return [joined for block in blocks if (joined := _SPACE.sub(" ", block).strip())]


def play_speeches(text: str) -> list[str]:
    """Return the speeches of a play or the stanzas of a poem.

    Names of speakers, scene headings, stage directions and credits are dropped. The list of
    persons at the top goes with everything before the first act, when there is one.
    """
    text = text.replace("\r", "").lstrip("\ufeff")
    first_act = re.search(r"^ *ACT (I|1|FIRST)\b", text, re.MULTILINE)
    if first_act:
        text = text[first_act.start() :]
    speeches = []
    for block in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in block.splitlines()]
        lines = [line for line in lines if line and not _SPEAKER.match(line)]
        speech = _SPACE.sub(" ", " ".join(lines)).strip()
        speech = re.sub(r"\[[^\]]*\]|_", "", speech).strip()
        if speech and not _STAGE.match(speech) and not _CREDIT.search(speech):
            speeches.append(speech)
    return speeches


def foldoc_entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield (headword, definition) of the Free On-line Dictionary of Computing."""
    head = ""
    body: list[str] = []
    for line in text.splitlines():
        if line and not line[0].isspace():
            if body:
                yield head, _foldoc_text(body)
                body = []
            head = line.strip()
        elif line.strip() or body:
            body.append(line.strip())
    if body:
        yield head, _foldoc_text(body)


def _foldoc_text(lines: list[str]) -> str:
    text = "\n".join(line for line in lines if not re.match(r"^\(\d{4}-\d\d-\d\d\)$", line))
    text = re.sub(r"\{[^{}]*(?:https?|ftp)://[^{}]*\}\.?", "", text)
    text = re.sub(r"^<[^<>\n]*>\s*", "", text.strip())
    return text.replace("{", "").replace("}", "").strip()


def gcide_entries(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (headword, senses and quotations) of the GNU dictionary of English."""
    head = ""
    body: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        match = _GCIDE_HEAD.match(block)
        if match:
            if head and body:
                yield head, body
            head, body = match.group(1), []
            lines = block.splitlines()
            rest = [line for line in lines[1:] if line.startswith("   ")]
            block = "\n".join(rest)
        elif head and block and not block[0].isspace():
            continue
        sense = _gcide_sense(block)
        if head and sense:
            body.append(sense)
    if head and body:
        yield head, body


def _gcide_sense(block: str) -> str:
    text = _SPACE.sub(" ", re.sub(r"\[[^\]]*\]", " ", block)).strip()
    text = re.sub(r"^(\d+\.|\([a-z]\)|Note:|Syn:)\s*", "", text)
    text = re.sub(r"\s*--\s?[A-Z][\w. ]*\.?$", "", text)
    text = re.sub(r"^\((?:[A-Z][a-z]+\.?,? ?&? ?)+\)\s*", "", text)
    text = text.replace("{", "").replace("}", "")
    return text if not re.search(r"\]|\\|^[a-z., ]*\[|--", text) else ""


def sayings(text: str) -> list[str]:
    """Return the sayings of a fortune file (separated by lines with a percent sign).

    The name after the saying is dropped; so is anything that is drawn rather than written.
    """
    found = []
    for item in re.split(r"^%\s*$", text, flags=re.MULTILINE):
        body = _SAYING_BY.sub("", item, count=1)
        body = _SPACE.sub(" ", body.replace("\b", "")).strip()
        letters = sum(character.isalpha() or character == " " for character in body)
        if body and letters > 0.85 * len(body):
            found.append(body)
    return found


def tab_rows(text: str) -> Iterator[tuple[str, str]]:
    """Yield (category, text) of a two-column tab table; the header lines are skipped.

    A header line is the first line, a line of column types, or one with an empty column.
    """
    for number, line in enumerate(text.splitlines()):
        category, _, body = line.partition("\t")
        if number < 4 and (number == 0 or not body.strip() or body.strip() == "string"):
            continue
        if category.strip() and body.strip():
            yield category.strip(), body.strip()
