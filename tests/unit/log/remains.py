"""Looks for what should be gone: in the raw bytes of every file of a store, and in the decoded pages of every Parquet
file, since compressed pages hide what they hold."""

import struct
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq


def remains(store_dir: Path, markers: Sequence[str], token_ids: Sequence[int] = ()) -> list[str]:
    """`file: what` for each marker text or token id that is still somewhere. Token ids are looked for as numbers in
    decoded pages, and in raw bytes (little-endian) two at a time."""
    pairs = [struct.pack("<2i", *token_ids[i : i + 2]) for i in range(len(token_ids) - 1)]
    found = []
    for path in sorted(p for p in store_dir.rglob("*") if p.is_file()):
        data = path.read_bytes()
        found += [f"{path.name}: {marker} raw" for marker in markers if marker.encode() in data]
        found += [f"{path.name}: token ids raw" for pair in pairs if pair in data]
        if ".parquet" in path.name:
            try:
                with pq.ParquetFile(path) as file:
                    columns = file.read().to_pydict()
            except (OSError, ValueError):  # half-written: its raw bytes were looked at
                continue
            text = str(columns)
            found += [f"{path.name}: {marker} decoded" for marker in markers if marker in text]
            stored = set(columns.get("token_id", ()))
            found += [f"{path.name}: token id {token_id}" for token_id in token_ids if token_id in stored]
    return found
