"""Text of manual pages, read from their roff source line by line."""

import re

_FONT_MACROS = frozenset(["B", "I", "R", "BR", "RB", "BI", "IB", "IR", "RI", "SM", "SB"])
_PARAGRAPH_MACROS = frozenset(["PP", "LP", "P", "IP", "TP", "TQ", "HP", "RS", "RE", "sp", "br"])
_HEADING_MACROS = frozenset(["SH", "SS"])
_SKIP_UNTIL = {"nf": "fi", "EX": "EE", "TS": "TE", "EQ": "EN", "de": ".", "ig": "."}
_NAMED = {
    "lq": '"', "rq": '"', "oq": "'", "cq": "'", "aq": "'", "dq": '"', "bu": "", "em": " - ",
    "en": "-", "hy": "-", "co": "(C)", "ha": "^", "ti": "~", "mi": "-", "rs": "\\", "ga": "`",
    "->": "->", "<-": "<-", "<=": "<=", ">=": ">=", "!=": "!=", "+-": "+/-", "mu": "x", "bv": "|",
    "or": "|", "sq": "", "fo": "<", "fc": ">", "at": "@", "sh": "#", "Do": "$", "dg": "", "bul": "",
}  # fmt: skip
_NAMED_CHARACTER = re.compile(r"\\\(([^\s]{2})|\\\[([^\]]+)\]")
_FONT_ESCAPE = re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)")
_SIZE_ESCAPE = re.compile(r"\\s[+-]?(?:\[[^\]]*\]|\d)")
_STRING_ESCAPE = re.compile(r"\\\*(?:\[([^\]]*)\]|\((..)|(.))")
_OTHER_ESCAPE = re.compile(r"\\[hvwzkmMbl](?:'[^']*'|\[[^\]]*\])?")
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_SPACE = re.compile(r"\s+")


def man_blocks(page: str) -> list[str]:
    """Return the paragraphs and section titles of a manual page.

    Comments, tables and literal displays (examples, synopses) are left out; the words of font
    macros are kept in the sentence; other macros are ignored; font escapes are removed and named
    characters become plain ones.
    """
    blocks: list[str] = []
    words: list[str] = []
    skip_until = ""

    def end_paragraph() -> None:
        text = _SPACE.sub(" ", " ".join(words)).strip()
        words.clear()
        if text:
            blocks.append(text)

    for raw in page.splitlines():
        line = raw.rstrip()
        if line.startswith(('.\\"', "'\\\"", "'''")):
            continue
        macro, rest = _macro(line)
        if skip_until:
            if macro == skip_until or (skip_until == "." and line.startswith("..")):
                skip_until = ""
            continue
        if not macro:
            if line.strip():
                words.append(_plain(line))
            else:
                end_paragraph()
            continue
        if macro in _SKIP_UNTIL:
            end_paragraph()
            skip_until = _SKIP_UNTIL[macro]
        elif macro in _HEADING_MACROS:
            end_paragraph()
            title = " ".join(_arguments(rest))
            if title:
                blocks.append(_SPACE.sub(" ", title))
        elif macro in _PARAGRAPH_MACROS:
            end_paragraph()
        elif macro in _FONT_MACROS:
            parts = _arguments(rest)
            glued = len(macro) == 2 and macro not in ("SM", "SB")
            words.append(("" if glued else " ").join(parts))
    end_paragraph()
    return blocks


def _macro(line: str) -> tuple[str, str]:
    """Split a control line into macro name and arguments; ("", "") for a line of text."""
    if not line.startswith((".", "'")) or line.startswith("..."):
        return "", ""
    body = line[1:].lstrip()
    name, _, rest = body.partition(" ")
    return (name or "."), rest


def _arguments(rest: str) -> list[str]:
    rest = rest.split(' \\"')[0]
    found = []
    for match in _ARGUMENT.finditer(_hide_spaces(rest)):
        text = match.group(1) if match.group(1) is not None else match.group(2)
        found.append(_plain(text.replace('""', '"').replace("\0", " ")))
    return found


def _hide_spaces(rest: str) -> str:
    r"""Keep `\ ` (a space that does not separate arguments) inside its argument."""
    return rest.replace("\\ ", "\0")


def _plain(text: str) -> str:
    text = _STRING_ESCAPE.sub(lambda match: _NAMED.get(match.group(1) or match.group(2) or match.group(3), ""), text)
    text = text.split('\\"')[0]
    text = _FONT_ESCAPE.sub("", text)
    text = _SIZE_ESCAPE.sub("", text)
    text = _NAMED_CHARACTER.sub(lambda match: _NAMED.get(match.group(1) or match.group(2), ""), text)
    text = _OTHER_ESCAPE.sub("", text)
    for escape, plain in (("\\-", "-"), ("\\ ", " "), ("\\~", " ")):
        text = text.replace(escape, plain)
    text = re.sub(r"\\[&/,:%|^!?0c{}.'`]", "", text)
    return text.replace("\\e", "\\")
