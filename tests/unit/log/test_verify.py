"""verify: every change of a listed byte is reported, and nothing else is called an error."""

import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from moe_core.errors import LogError
from moe_core.log.heads import head_bytes
from moe_core.log.manifest import ManifestWriter
from moe_core.log.store import create_store
from moe_core.log.verify import VerifyReport, verify_store
from tests.unit.log.build import data_files, fill_store

FILES_OF_THE_STORE = 1 + 2 + 3 * 3  # store.json, manifest and head, 3 batches of 3 files


def is_reported(path: Path) -> bool:
    """The report is not ok, or there is no report because store.json claims to be newer or is gone."""
    try:
        return not verify_store(path).ok
    except LogError:
        return True


def manifest(path: Path) -> Path:
    (found,) = (path / "manifest").glob("*.jsonl")
    return found


def test_a_sound_store_is_ok(store_dir: Path) -> None:
    """3 segments, 24 decisions, nothing to say."""
    assert verify_store(store_dir) == VerifyReport(ok=True, segments=3, decisions=24, errors=(), notes=())
    assert len(data_files(store_dir)) == FILES_OF_THE_STORE


def test_every_flipped_bit_is_reported(store_dir: Path) -> None:
    """One bit flipped in any file of the store: in its first and last byte, and in 60 others chosen at random."""
    rng = random.Random(11)
    for path in data_files(store_dir):
        data = path.read_bytes()
        offsets = {0, len(data) - 1, *(rng.randrange(len(data)) for _ in range(60))}
        for offset in offsets:
            flipped = bytearray(data)
            flipped[offset] ^= 1 << rng.randrange(8)
            path.write_bytes(flipped)
            assert is_reported(store_dir), f"{path.name}, byte {offset} of {len(data)}"
        path.write_bytes(data)
    assert verify_store(store_dir).ok


def test_every_truncation_is_reported(store_dir: Path) -> None:
    """Any file cut by one byte, to half, to nothing."""
    for path in data_files(store_dir):
        data = path.read_bytes()
        for kept in (len(data) - 1, len(data) // 2, 0):
            path.write_bytes(data[:kept])
            assert is_reported(store_dir), f"{path.name} cut to {kept}"
        path.write_bytes(data)
    assert verify_store(store_dir).ok


def test_every_appended_byte_is_reported(store_dir: Path) -> None:
    """A longer file is not what was written, either."""
    for path in data_files(store_dir):
        data = path.read_bytes()
        path.write_bytes(data + b"\n")
        assert is_reported(store_dir), path.name
        path.write_bytes(data)


def test_every_removed_file_is_reported(store_dir: Path) -> None:
    """Segments, requests, tokens, manifest, head, store.json: each is missed."""
    for path in data_files(store_dir):
        moved = path.rename(store_dir.parent / "aside")
        assert is_reported(store_dir), path.name
        moved.rename(path)
    assert verify_store(store_dir).ok


@pytest.mark.parametrize("pattern", ["segments/**/*.parquet", "requests/**/*.requests.*", "requests/**/*.tokens.*"])
def test_swapped_files_of_two_batches_are_reported(store_dir: Path, pattern: str) -> None:
    """Two sound files with each other's names are two errors."""
    first, second, _ = sorted(store_dir.glob(pattern))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert len(verify_store(store_dir).errors) == 2


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda lines: lines[:1] + lines[2:], id="a middle line removed"),
        pytest.param(lambda lines: lines[1:], id="the first line removed"),
        pytest.param(lambda lines: lines[:-1], id="the last line removed"),
        pytest.param(lambda lines: lines[:2], id="the last three lines removed"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], id="two lines exchanged"),
        pytest.param(lambda lines: [*lines, lines[-1]], id="the last line repeated"),
        pytest.param(lambda lines: [lines[0].replace(b"reference", b"something"), *lines[1:]], id="a run edited"),
        pytest.param(
            lambda lines: [lines[0], lines[1].replace(b'"decisions": 8', b'"decisions": 9'), *lines[2:]],
            id="a count edited",
        ),
    ],
)
def test_a_changed_manifest_is_reported(store_dir: Path, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    """Removed, exchanged, repeated, edited lines. The chain cannot see that its end is gone; the head can."""
    path = manifest(store_dir)
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))
    report = verify_store(store_dir)
    assert not report.ok
    assert any(path.name in error for error in report.errors)


def rehash(path: Path, change: Callable[[list[dict]], None]) -> None:
    """What a forger would do who knows the format: edit, then hash the whole chain and the head again."""
    contents = [json.loads(line) for line in path.read_text().splitlines()]
    change(contents)
    lines, prev = [], contents[0]["prev"]
    for seq, content in enumerate(contents):
        content.pop("hash")
        body = json.dumps(content | {"seq": seq, "prev": prev})[:-1]
        prev = sha256(body.encode()).hexdigest()
        lines.append(f'{body}, "hash": "{prev}"}}\n')
    path.write_text("".join(lines))
    path.with_suffix(".head").write_text(f"{len(lines) - 1:+020d} {prev}\n")


def hashed_again(line: bytes, old: bytes, new: bytes) -> bytes:
    """A line with an edit and its own hash made anew."""
    body = line.rpartition(b', "hash": "')[0].replace(old, new)
    return body + f', "hash": "{sha256(body).hexdigest()}"}}\n'.encode()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        pytest.param(1, "line 3 is not what its writer wrote: it does not continue", id="in the middle"),
        pytest.param(4, "line 5 is not the one that its head names", id="the last"),
    ],
)
def test_a_line_edited_and_hashed_again_breaks_the_chain_after_it(store_dir: Path, number: int, sentence: str) -> None:
    """The next line, or the head after the last one, holds the hash that it had."""
    path = manifest(store_dir)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = hashed_again(lines[number], b'"at": "2', b'"at": "1')
    path.write_bytes(b"".join(lines))
    assert any(sentence in error for error in verify_store(store_dir).errors)


def test_lines_of_another_store_or_writer_do_not_fit(store_dir: Path, tmp_path: Path) -> None:
    """A whole manifest with its head from another store, one line of it, and a manifest under another name."""
    fill_store(tmp_path / "other")
    path, foreign = manifest(store_dir), manifest(tmp_path / "other")
    sound, lines = path.read_bytes(), foreign.read_bytes().splitlines(keepends=True)
    path.write_bytes(sound + lines[1])
    assert any("it is not number 5 in its chain" in error for error in verify_store(store_dir).errors)
    path.write_bytes(foreign.read_bytes())
    assert any("a line, or store.json, was replaced" in error for error in verify_store(store_dir).errors)
    path.write_bytes(sound)
    for suffix in (".jsonl", ".head"):
        path.with_suffix(suffix).rename(path.with_name("20200101T000000-1-00000000" + suffix))
    assert any("a line, or store.json, was replaced" in error for error in verify_store(store_dir).errors)


@pytest.mark.parametrize(("kept", "n_errors"), [(4, 0), (3, 0), (2, 1), (1, 2), (0, 2)])
def test_a_chain_cut_together_with_its_head_leaves_too_many_files(store_dir: Path, kept: int, n_errors: int) -> None:
    """Of 3 batches, those after the cut are in no manifest. A killed writer leaves one at most, the one after the last
    that it listed: a second one is an error. A cut that leaves one or none can only be seen with a published head."""
    path = manifest(store_dir)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:kept]))
    last = json.loads(lines[kept - 1])["hash"] if kept else json.loads(lines[0])["prev"]
    path.with_suffix(".head").write_bytes(head_bytes(kept - 1, last))
    report = verify_store(store_dir)
    errors = [error for error in report.errors if "no crash leaves it" in error]
    assert len(errors) == 3 * n_errors
    assert report.ok == (n_errors == 0)
    assert len(report.notes) == (3 if kept < 4 else 0)


def test_what_a_living_writer_has_not_listed_yet_is_a_note(tmp_path: Path) -> None:
    """While it writes it may be any number of batches ahead of what was read a moment ago."""
    store = create_store(tmp_path / "s")
    writer = ManifestWriter(store)
    orphan = store.path / "segments" / "run=r" / f"{writer.writer_id}-000005.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(b"")
    assert verify_store(store.path).ok
    writer.close()
    assert not verify_store(store.path).ok


def test_a_forged_chain_must_still_fit_the_files(store_dir: Path) -> None:
    """Even with every hash made anew, counts, roots and totals that the files do not have are found."""
    for change, expected in (
        (lambda lines: lines[1].update(decisions=9), "has 8 rows, its manifest says 9"),
        (lambda lines: lines[1].update(merkle_root="0" * 64), "does not have the Merkle root"),
        (lambda lines: lines[4].update(requests=2), "ended with 2 requests, its manifest lists 3"),
        (lambda lines: lines[1]["files"]["decisions"].update(path="../../etc/passwd"), "where 'segments/"),
        (lambda lines: lines[1].update(run_id="other"), "where 'segments/run=other"),
        (lambda lines: lines[1].update(day="20260301"), "cannot be a batch"),
        (lambda lines: lines[1].update(batch_id="../x"), "cannot be a batch"),
        (lambda lines: lines[1].pop("merkle_root"), "cannot be understood"),
        (lambda lines: lines.insert(2, dict(lines[1])), "was listed before"),
        (lambda lines: lines.insert(1, dict(lines[0])), "has begun before"),
        (lambda lines: lines[2].update(kind="gift"), "unknown kind"),
    ):
        path = manifest(store_dir)
        kept = path.read_bytes(), path.with_suffix(".head").read_bytes()
        rehash(path, change)
        report = verify_store(store_dir)
        assert any(expected in error for error in report.errors), (expected, report.errors)
        path.write_bytes(kept[0])
        path.with_suffix(".head").write_bytes(kept[1])


def test_what_a_crash_leaves_is_a_note(store_dir: Path) -> None:
    """A torn line, an orphan, a half-written file, a head that lags: they never counted, and are no errors."""
    path = manifest(store_dir)
    lines = path.read_bytes().splitlines(keepends=True)
    head = path.with_suffix(".head")
    path.write_bytes(b"".join(lines[:4]) + lines[4][:30])
    head.write_text(f"{2:+020d} {json.loads(lines[2])['hash']}\n")
    segment = next((store_dir / "segments").rglob("*.parquet"))
    orphan = segment.with_name(f"{path.stem}-000003.parquet")
    orphan.write_bytes(segment.read_bytes())
    segment.with_name(segment.name + ".12345678.tmp").write_bytes(b"")
    report = verify_store(store_dir)
    assert report.ok
    assert report.decisions == 24
    assert len(report.notes) == 4
    assert {"cut off in writing" in note for note in report.notes} == {True, False}


def test_the_cache_is_not_looked_at(store_dir: Path) -> None:
    """index.duckdb can be deleted, damaged or locked: the store is what it is."""
    (store_dir / "index.duckdb").write_bytes(b"nonsense")
    (store_dir / "index.lock").write_bytes(b"")
    assert verify_store(store_dir) == VerifyReport(ok=True, segments=3, decisions=24, errors=(), notes=())


def test_damage_in_one_place_leaves_the_rest_checked(store_dir: Path) -> None:
    """One segment of three is damaged: one error that names it, two segments and 16 decisions found whole."""
    segment = sorted((store_dir / "segments").rglob("*.parquet"))[1]
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")
    report = verify_store(store_dir)
    assert (report.ok, report.segments, report.decisions, len(report.errors)) == (False, 2, 16, 1)
    assert segment.name in report.errors[0]


def test_the_writers_of_a_store_are_checked_one_by_one(store_dir: Path) -> None:
    """A second run adds its own manifest; removing it is noticed by the files that it listed."""
    fill_store(store_dir, "run-b", n_batches=1)
    assert verify_store(store_dir).segments == 4
    newest = sorted((store_dir / "manifest").glob("*.jsonl"))[-1]
    newest.unlink()
    newest.with_suffix(".head").unlink()
    report = verify_store(store_dir)
    assert not report.ok
    assert all("whose manifest is missing" in error for error in report.errors)


def test_an_empty_store_is_ok(tmp_path: Path) -> None:
    """Nothing recorded, nothing lost."""
    fill_store(tmp_path / "s", n_batches=0)
    report = verify_store(tmp_path / "s")
    assert (report.ok, report.segments, report.decisions) == (True, 0, 0)
