"""Published heads: what an attacker on the machine of the store cannot undo."""

import json
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from moe_core.errors import InputError, ManifestError
from moe_core.log.heads import head_bytes
from moe_core.log.manifest import ManifestWriter, read_manifest, start
from moe_core.log.published_heads import PublishedHeads, find_published, publish_heads, read_published
from moe_core.log.signature import load_private_key, load_public_key, make_key_pair
from moe_core.log.store import create_store, open_store
from moe_core.log.verify import verify_store
from tests.unit.log.build import fill_store
from tests.unit.log.test_verify import manifest, rehash


@pytest.fixture
def published(store_dir: Path, tmp_path: Path) -> Path:
    """The heads of the store, after a second run of one batch."""
    fill_store(store_dir, "run-b", n_batches=1)
    publish_heads(open_store(store_dir), tmp_path / "heads.json")
    return tmp_path / "heads.json"


def cut(path: Path, n_lines: int) -> None:
    """What an attacker does who knows of heads: both end with line number `n_lines`, and what it listed is removed."""
    lines = path.read_bytes().splitlines(keepends=True)
    for line in lines[n_lines:]:
        for file in json.loads(line).get("files", {}).values():
            (path.parents[1] / file["path"]).unlink()
    path.write_bytes(b"".join(lines[:n_lines]))
    path.with_suffix(".head").write_bytes(head_bytes(n_lines - 1, json.loads(lines[n_lines - 1])["hash"]))


def of_run(store_dir: Path, run_id: str) -> Path:
    (found,) = (path for path in (store_dir / "manifest").glob("*.jsonl") if run_id in path.read_text())
    return found


def test_a_sound_store_holds_what_was_published(store_dir: Path, published: Path) -> None:
    """Right after it and when the store has grown; the heads count 3 batches and 1 batch of 8 decisions."""
    heads = read_published(published)
    assert sorted(head.decisions for head in heads.writers.values()) == [8, 24]
    assert (heads.decisions, heads.is_signed) == (32, False)
    fill_store(store_dir, "run-c", n_batches=1)
    report = verify_store(store_dir, [published])
    assert (report.ok, report.compared, report.decisions) == (True, 1, 40)


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        pytest.param(lambda d: cut(of_run(d, "run-a"), 4), "has 4 sound lines, .* says 5: its end was", id="run end"),
        pytest.param(lambda d: cut(of_run(d, "run-a"), 2), "has 2 sound lines, .* says 5: its end was", id="batches"),
        pytest.param(
            lambda d: rehash(of_run(d, "run-a"), lambda lines: lines[0]["run"].update(model="other")),
            "line 5 is not the one of .*heads.json .*: the chain was made anew",
            id="a rebuilt chain",
        ),
    ],
)
def test_a_chain_that_was_cut_back_or_rebuilt_is_exposed(
    store_dir: Path, published: Path, attack: Callable[[Path], None], sentence: str
) -> None:
    """The store alone looks intact; the published head shows what is gone, and the other run is not blamed."""
    attack(store_dir)
    assert verify_store(store_dir).ok
    report = verify_store(store_dir, [published])
    assert len(report.errors) == 1
    assert report.errors[0].startswith(f"manifest/{of_run(store_dir, 'run-a').name} ")
    assert re.search(sentence, report.errors[0])


def test_a_removed_writer_is_exposed(store_dir: Path, published: Path) -> None:
    """Its manifest, head and files are all gone: only the published head remembers them."""
    path = of_run(store_dir, "run-b")
    name = path.name
    cut(path, 1)
    path.unlink()
    path.with_suffix(".head").unlink()
    shutil.rmtree(store_dir / "segments" / "run=run-b")
    assert verify_store(store_dir).ok
    (error,) = verify_store(store_dir, [published]).errors
    assert error.startswith(f"manifest/{name} with 8 decisions is gone: ")


def test_a_replaced_store_is_exposed(store_dir: Path, published: Path, tmp_path: Path) -> None:
    """Another store in its place, and the same one with another store.json."""
    fill_store(tmp_path / "other")
    assert verify_store(tmp_path / "other").ok
    assert "it is another store" in verify_store(tmp_path / "other", [published]).errors[0]
    content = json.loads((store_dir / "store.json").read_text())
    content.pop("sha256")
    body = json.dumps(content | {"created_at": "2020-01-01T00:00:00+00:00"}, sort_keys=True)
    digest = sha256(body.encode()).hexdigest()
    (store_dir / "store.json").write_text(body[:-1] + f', "sha256": "{digest}"}}\n')
    assert any("its store.json was replaced" in error for error in verify_store(store_dir, [published]).errors)


def test_every_flipped_bit_of_a_published_head_is_an_error(store_dir: Path, tmp_path: Path) -> None:
    """In every byte of the file, signature included: it is not what was published, or not what was signed."""
    private_path, public_path = make_key_pair(tmp_path / "keys")
    path, key = tmp_path / "heads.json", load_public_key(public_path)
    publish_heads(open_store(store_dir), path, load_private_key(private_path))
    sound = path.read_bytes()
    for offset in range(len(sound)):
        data = bytearray(sound)
        data[offset] ^= 1 << offset % 8
        path.write_bytes(data)
        with pytest.raises(ManifestError):
            read_published(path, key)
    path.write_bytes(sound)
    assert verify_store(store_dir, [path], key).ok


def forged(path: Path, change: Callable[[dict], None]) -> None:
    """The file with a change and its checksum made anew."""
    content = json.loads(path.read_text())
    signature = content.pop("signature", None)
    content.pop("sha256")
    change(content)
    content["sha256"] = sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    if signature is not None:
        content["signature"] = signature
    path.write_text(json.dumps(content, indent=1) + "\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda c: next(iter(c["writers"].values())).update(decisions=9), "contradicts itself", id="count"),
        pytest.param(lambda c: next(iter(c["writers"].values())).update(seq=-1), "no line -1", id="negative"),
        pytest.param(lambda c: next(iter(c["writers"].values())).update(seq="x"), "no line x", id="no number"),
        pytest.param(lambda c: c["writers"].update(x={}), "is not the file of heads", id="no head"),
        pytest.param(lambda c: c.update(published_at="2026-01-01"), "no time zone", id="no zone"),
        pytest.param(lambda c: c.update(version=2), "checksum", id="version"),
        pytest.param(lambda c: c["writers"].update({"../x": next(iter(c["writers"].values()))}), "is gone", id="path"),
    ],
)
def test_a_file_that_was_made_up_is_an_error(
    store_dir: Path, published: Path, change: Callable[[dict], None], sentence: str
) -> None:
    """With its own checksum right: what it says must still fit together and fit the store."""
    forged(published, change)
    report = verify_store(store_dir, [published])
    assert not report.ok
    assert sentence in report.errors[0]


def test_a_signature_shows_who_published(store_dir: Path, published: Path, tmp_path: Path) -> None:
    """A wrong key, no signature, and an edit under an old one are errors; without a key a signed file is like any."""
    private_path, public_path = make_key_pair(tmp_path / "mine")
    _, other_path = make_key_pair(tmp_path / "other")
    signed = tmp_path / "signed.json"
    assert publish_heads(open_store(store_dir), signed, load_private_key(private_path)).is_signed
    key, other = load_public_key(public_path), load_public_key(other_path)
    assert verify_store(store_dir, [signed], key).ok
    assert verify_store(store_dir, [signed]).ok
    assert "not signed with the other half" in verify_store(store_dir, [signed], other).errors[0]
    assert "is not signed, and a public key was given" in verify_store(store_dir, [published], key).errors[0]
    forged(signed, lambda content: content.update(published_at="2020-01-01T00:00:00+00:00"))
    assert verify_store(store_dir, [signed]).ok
    assert "not signed with the other half" in verify_store(store_dir, [signed], key).errors[0]


def test_a_signature_can_be_checked_without_routelens(store_dir: Path, tmp_path: Path) -> None:
    """The four lines of docs/verify.md."""
    private_path, public_path = make_key_pair(tmp_path / "keys")
    path = tmp_path / "heads.json"
    publish_heads(open_store(store_dir), path, load_private_key(private_path))
    heads = json.loads(path.read_text())
    signature = bytes.fromhex(heads.pop("signature"))
    heads.pop("sha256")
    load_pem_public_key(public_path.read_bytes()).verify(signature, json.dumps(heads, sort_keys=True).encode())


def test_keys_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    """The private key can be read by its owner only; neither file is ever written over."""
    private_path, public_path = make_key_pair(tmp_path / "keys")
    assert stat.S_IMODE(private_path.stat().st_mode) == 0o600
    sound = private_path.read_bytes(), public_path.read_bytes()
    for gone in (None, private_path, public_path):
        if gone is not None:
            gone.rename(tmp_path / "aside")
        with pytest.raises(InputError, match="There is a key in"):
            make_key_pair(tmp_path / "keys")
        if gone is not None:
            (tmp_path / "aside").rename(gone)
    assert (private_path.read_bytes(), public_path.read_bytes()) == sound


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    """Nonsense, the wrong half, another kind of key, one with a password, none at all."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    private_path, public_path = make_key_pair(tmp_path)
    nonsense, foreign, locked = tmp_path / "x.pem", tmp_path / "ec.pem", tmp_path / "locked.pem"
    nonsense.write_bytes(b"-----BEGIN PRIVATE KEY-----\nxx\n")
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    foreign.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, pkcs8, plain))
    secret = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(ed25519.Ed25519PrivateKey.generate().private_bytes(pem, pkcs8, secret))
    for path in (nonsense, public_path, foreign, locked):
        with pytest.raises(InputError, match="is not a private Ed25519 key"):
            load_private_key(path)
    for path in (nonsense, private_path, foreign):
        with pytest.raises(InputError, match="is not a public Ed25519 key"):
            load_public_key(path)
    with pytest.raises(InputError, match="Cannot read the key"):
        load_public_key(tmp_path / "absent.pem")


def test_a_folder_of_published_heads_is_compared_whole(store_dir: Path, published: Path, tmp_path: Path) -> None:
    """Every *.json in it, and files beside it; the end that only the second remembers is missed by it alone."""
    folder = tmp_path / "kept"
    folder.mkdir()
    published.rename(folder / "1.json")
    fill_store(store_dir, "run-c", n_batches=1)
    publish_heads(open_store(store_dir), folder / "2.json")
    assert find_published([folder, folder / "1.json"]) == [folder / "1.json", folder / "2.json", folder / "1.json"]
    assert verify_store(store_dir, [folder]).compared == 2
    cut(of_run(store_dir, "run-c"), 2)
    (error,) = verify_store(store_dir, [folder]).errors
    assert "2.json" in error


def test_what_is_not_there_cannot_be_compared(store_dir: Path, tmp_path: Path) -> None:
    """A file or folder that is absent or empty is a mistake of the caller, not of the store."""
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "absent.json", tmp_path / "empty"):
        with pytest.raises(InputError, match="There are no published heads in"):
            verify_store(store_dir, [path])


def test_heads_are_published_outside_of_the_store(store_dir: Path, tmp_path: Path) -> None:
    """In the store they would go with it."""
    (tmp_path / "link").symlink_to(store_dir)
    for path in (store_dir / "heads.json", tmp_path / "link" / "heads.json"):
        with pytest.raises(InputError, match="publish the head outside of it"):
            publish_heads(open_store(store_dir), path)


def test_a_broken_chain_is_not_published(store_dir: Path, tmp_path: Path) -> None:
    """Its end is not known, and nothing is written."""
    path = manifest(store_dir)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ManifestError, match="its end is missing"):
        publish_heads(open_store(store_dir), tmp_path / "heads.json")
    assert not (tmp_path / "heads.json").exists()


def test_of_a_writer_that_lives_only_what_it_acknowledged_is_published(tmp_path: Path) -> None:
    """A line that is written but not yet in the writer's head may be taken back (full disk); once the writer is dead it
    stays, and is published."""
    store = create_store(tmp_path / "s")
    fields = {"actor": None, "what": "x", "from": None, "to": None}
    writer = ManifestWriter(store)
    assert publish_heads(store, tmp_path / "0.json").writers == {}
    for _ in range(2):
        writer.append("event", fields)
    first = read_manifest(writer.path, start(store, writer.writer_id)).entries[0]
    writer.path.with_suffix(".head").write_bytes(head_bytes(0, first.hash))

    def seq_in(heads: PublishedHeads) -> int:
        return heads.writers[writer.writer_id].seq

    assert seq_in(publish_heads(store, tmp_path / "1.json")) == 0
    writer.close()
    assert seq_in(publish_heads(store, tmp_path / "2.json")) == 1
    assert verify_store(tmp_path / "s", [tmp_path / f"{i}.json" for i in range(3)]).ok


def test_publishing_again_replaces_the_file_at_once(store_dir: Path, published: Path) -> None:
    """The name may be the same every time; what is read is one whole file."""
    before = read_published(published)
    publish_heads(open_store(store_dir), published)
    after = read_published(published)
    assert after.published_at > before.published_at
    assert replace(after, published_at=before.published_at) == before
    assert [path.name for path in published.parent.glob("heads*")] == ["heads.json"]
