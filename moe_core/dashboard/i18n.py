"""English and Japanese for pages, charts and reports, by gettext. Loads no streamlit.

The English text is the msgid. `translator(lang)` gives the function that turns a msgid into the text of
one language; it holds no global state, so two visitors never see each other's language. The compiled
`.mo` is used where it is as new as the `.po` (`make build` makes it); otherwise the `.po` is compiled
in memory, so that a missing or stale `.mo` never leaves old or English text on a page.
"""

import gettext
import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

Translate = Callable[[str], str]

LANGUAGES = {"en": "English", "ja": "日本語"}
DEFAULT_LANGUAGE = "en"
LOCALE_DIR = Path(__file__).resolve().parent / "locale"
DOMAIN = "routelens"


def catalogue_path(lang: str, suffix: str = ".po") -> Path:
    """The file that holds the texts of `lang`."""
    return LOCALE_DIR / lang / "LC_MESSAGES" / f"{DOMAIN}{suffix}"


def language_of(tag: str | None) -> str | None:
    """The supported language of a tag such as `ja-JP`; None where it is not one of ours."""
    if not tag:
        return None
    lang = tag.replace("_", "-").split("-")[0].lower()
    return lang if lang in LANGUAGES else None


def choose_language(*tags: str | None) -> str:
    """The first supported language among the tags (query parameter, session, browser), else English."""
    for tag in tags:
        lang = language_of(tag)
        if lang:
            return lang
    return DEFAULT_LANGUAGE


def load_catalogue(lang: str) -> gettext.NullTranslations:
    """The texts of one language; English, and any language without a catalogue, is the msgid itself."""
    po, mo = catalogue_path(lang), catalogue_path(lang, ".mo")
    if not po.exists():
        return gettext.NullTranslations()
    if mo.exists() and mo.stat().st_mtime >= po.stat().st_mtime:
        with mo.open("rb") as compiled:
            return gettext.GNUTranslations(compiled)
    return gettext.GNUTranslations(compile_catalogue(po))


def compile_catalogue(po: Path) -> io.BytesIO:
    """The `.mo` content of a `.po` file, in memory."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with po.open("rb") as source:
        catalogue = read_po(source, domain=DOMAIN, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return compiled


@cache
def translator(lang: str) -> Translate:
    """The function msgid -> text for one language. Cached: one per language and process."""
    catalogue = load_catalogue(lang)

    def t(message: str) -> str:
        return catalogue.gettext(message) if message else ""

    return t


if __name__ == "__main__":  # `make build`; pybabel takes "% of" in a sentence for a placeholder and refuses it
    for language in LANGUAGES:
        if (source := catalogue_path(language)).exists():
            catalogue_path(language, ".mo").write_bytes(compile_catalogue(source).getvalue())
