"""Ed25519 keys and signatures: who published a head. Keys are PEM files, the private one for its owner's eyes only."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from moe_core.errors import InputError
from moe_core.log.segments import fsync_dir, make_dirs, write_all, write_failure

PRIVATE_NAME, PUBLIC_NAME = "private.pem", "public.pem"


def make_key_pair(folder: Path) -> tuple[Path, Path]:
    """-> (private.pem with mode 0600, public.pem) in `folder`. Raises InputError where one of them is there."""
    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private_path, public_path = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    for path in (private_path, public_path):
        if path.exists() or path.is_symlink():
            raise InputError(f"There is a key in {path} already, and a lost key cannot be made again: choose a folder.")
    for path, pem, mode in ((private_path, private_pem, 0o600), (public_path, public_pem, 0o644)):
        try:
            make_dirs(folder)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
            try:
                write_all(descriptor, pem)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fsync_dir(folder)
        except OSError as error:
            raise InputError(write_failure(path, error)) from error
    return private_path, public_path


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises InputError where the file is no private Ed25519 key without a password."""
    try:
        key = serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is not a private Ed25519 key in PEM form; make a pair with `routelens keys new DIR`.")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Raises InputError where the file is no public Ed25519 key."""
    try:
        key = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is not a public Ed25519 key in PEM form; give the {PUBLIC_NAME} of the pair.")
    return key


def sign(key: Ed25519PrivateKey, data: bytes) -> str:
    """-> the signature in hexadecimal."""
    return key.sign(data).hex()


def is_signed_by(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    """Whether the other half of `key` made exactly this signature, as `sign` spells it, of exactly these data."""
    try:
        raw = bytes.fromhex(signature)
        key.verify(raw, data)
        return raw.hex() == signature
    except (InvalidSignature, ValueError):
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the key {path}: {error.strerror}.") from None
