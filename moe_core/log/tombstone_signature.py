"""Who signed a tombstone: an Ed25519 signature over its content, the store and the writer.

The key that signs stays with the person; the line carries the public one. That proves that whoever holds the key wrote
the line, not who that is: keep a list of public keys outside of the store.
"""

import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from moe_core.log.manifest import Entry
from moe_core.log.store import Store


def signed(store: Store, writer_id: str, fields: Mapping[str, Any], key: Ed25519PrivateKey | None) -> dict[str, Any]:
    """The fields of a line with a `signature` by `key` over them; without a key, as they are."""
    if key is None:
        return dict(fields)
    value = key.sign(_content(store, writer_id, fields))
    public_key = key.public_key().public_bytes_raw()
    return {**fields, "signature": {"public_key": public_key.hex(), "ed25519": value.hex()}}


def signer(store: Store, entry: Entry) -> str | None:
    """The public key (hexadecimal) that signed the line; None if nobody did. Raises ValueError if it does not fit."""
    signature = entry.fields.get("signature")
    if signature is None:
        return None
    fields = {name: value for name, value in entry.fields.items() if name != "signature"}
    try:
        public_key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
        public_key.verify(bytes.fromhex(signature["ed25519"]), _content(store, entry.writer_id, fields))
        return str(signature["public_key"])
    except (InvalidSignature, ValueError, KeyError, TypeError):
        raise ValueError("its signature does not belong to its content") from None


def _content(store: Store, writer_id: str, fields: Mapping[str, Any]) -> bytes:
    """What is signed: bound to this store and manifest, so that a line cannot be moved to another."""
    about = {"store": store.sha256, "writer": writer_id}
    return json.dumps({**about, "line": dict(fields)}, sort_keys=True, allow_nan=False).encode()
