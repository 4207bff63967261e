"""check_decision.py PROOF.json [PUBLISHED.json]: checks `routelens verify --decision`; exits 0 or 1; see verify.md."""

import json
import struct
import sys
from hashlib import sha256
from pathlib import Path

SCALES = {"logit": 1024, "prob": 65535, "gate_weight": 65535, "margin": 1024}
COLUMNS = ("request_no", "position", "layer", "expert_id", "rank", "selected", "flags", *SCALES)
FLAGS = ("floor", "failover", "dropped", "shared", "imported")


def root(content, index, count, siblings):  # of leaf `index` of `count`; the last of an odd level moves up unchanged
    node, rest = sha256(b"\0" + content).digest(), list(siblings)
    while count > 1:
        if index ^ 1 < count:
            (side, other), is_right = rest.pop(0), index & 1
            pair = bytes.fromhex(other) + node if is_right else node + bytes.fromhex(other)
            node = sha256(b"\1" + pair).digest() if side == ("right", "left")[is_right] else b"?"
        index, count = index // 2, (count + 1) // 2
    return node.hex() if index == 0 and not rest else "?"


def decode(row):
    plain = dict(zip(COLUMNS, struct.unpack("<Iihhh?Biiii", row), strict=True))
    real = {name: None if plain[name] == -(2**31) else plain[name] / scale for name, scale in SCALES.items()}
    return plain | real | {"flags": [name for bit, name in enumerate(FLAGS) if plain["flags"] & 1 << bit]}


def check(proof, published=None):
    head, writer, rows = proof["head"], proof["writer_id"], [decode(bytes.fromhex(row)) for row in proof["rows"]]
    leaf = root(bytes.fromhex("".join(proof["rows"])), proof["leaf_index"], proof["leaves"], proof["siblings"])
    (body, _, tail), line = proof["line"].rpartition(', "hash": "'), json.loads(proof["line"])
    reached = root(sha256(body.encode()).digest(), line["seq"], head["seq"] + 1, proof["line_siblings"])
    names = [line["run_id"], line["seq"], line["batch_id"].rpartition("-")[0], reached, rows[0]["position"]]
    expected = [proof["run_id"], proof["seq"], writer, head["lines_root"], proof["position"]]
    said = f"1 {proof['store_sha256']} {writer} {head['seq']} {head['hash']} {reached} {head['decisions']}"
    for holds, otherwise in (
        (rows == proof["decisions"] and proof["version"] == 1, "the decisions are not what the packed rows say"),
        (leaf == proof["merkle_root"] == line["merkle_root"], "the rows do not lead to the Merkle root of the line"),
        (tail == sha256(body.encode()).hexdigest() + '"}', "the line does not match its own hash"),
        (names == expected, "the line does not lead to the head, or the line or a row is another one"),
        (sha256(f"routelens head {said}".encode()).hexdigest() == head["digest"], "the head does not match its digest"),
        (published is None or published["writers"].get(writer) == head, "the head is not the one that was published"),
    ):
        if not holds:
            sys.exit(f"NOT PROVED: {otherwise}.")
    request = f"request number {rows[0]['request_no']} (the store calls it {proof['request_id']!r})"
    print(f"Run {line['run_id']!r}, {request}, token {proof['position']}, written at {line['at']!r}:")
    for row in rows:
        facts = ", ".join(f"{name} {row[name]}" for name in ("rank", *COLUMNS[6:]))
        print(f"layer {row['layer']}: expert {row['expert_id']} {'ran' if row['selected'] else 'did not run'}, {facts}")
    print("PROVED by the published head" if published else "CONSISTENT; PROVED if you kept this digest", head["digest"])


try:
    check(*(json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:3]))
except Exception as error:
    sys.exit(f"NOT PROVED: {error!r}")
