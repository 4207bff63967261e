"""Damage anywhere in a store: verify reports it, and no reader shows what is not right without saying so."""

import random
from collections import Counter
from pathlib import Path

import pytest

from moe_core.errors import LogError
from moe_core.log import queries
from moe_core.log.console import run_select
from moe_core.log.index import Index
from moe_core.log.verify import verify_store
from tests.unit.log.build import data_files, fill_store

ROWS = """
    SELECT d.run_id, d.request_id, d.position, d.token_id, d.layer, d.expert_id, d.rank, d.selected, d.logit,
           d.prob, d.gate_weight, d.margin, d.flags, r.text, r.label, r.flops, u.model, u.n_experts
    FROM decisions d JOIN requests r USING (run_id, request_id) JOIN runs u USING (run_id) ORDER BY ALL
"""
N_ROWS = 2 * 3 * 8


def kind_of(path: Path) -> str:
    """store.json, .jsonl, .head, .requests.parquet, .tokens.parquet or .parquet."""
    return path.name if path.name == "store.json" else "".join(path.suffixes[-2:])


def is_reported(path: Path) -> bool:
    try:
        return not verify_store(path).ok
    except LogError:
        return True


def shown(path: Path, *, by_console: bool = True) -> list[tuple[list[tuple[object, ...]], list[str]]]:
    """(rows, what was said to be left out) as the console and an index show them; no rows where they refuse."""
    answers = []
    try:
        if by_console:
            selected = run_select(path, ROWS)
            answers.append(([tuple(row) for row in selected.rows], selected.left_out))
    except LogError as error:
        answers.append(([], [str(error)]))
    try:
        with Index.open_private(path) as index:
            rows = [tuple(row) for row in index.cursor().execute(ROWS).fetchall()]
            said = queries.problems(index)["what"].tolist()
            load = queries.expert_load(index)
            assert int(load["n"].sum() + load["n_runner_up"].sum()) == len(rows)
            answers.append((rows, said))
    except LogError as error:
        answers.append(([], [str(error)]))
    return answers


@pytest.mark.parametrize(
    ("n_flips", "n_cuts"), [(20, 4), pytest.param(200, 20, marks=pytest.mark.slow)], ids=["a few", "many"]
)
def test_damage_is_reported_and_never_silently_read(tmp_path: Path, n_flips: int, n_cuts: int) -> None:
    """One bit flipped, or the end cut off, in a file chosen at random among the kinds of file that a store consists of.

    verify reports each. The console and a new index return right rows of whole batches; where any row is missing, they
    say so.
    """
    path = tmp_path / "store"
    for run_id in ("run-a", "run-b"):
        fill_store(path, run_id)
    ((sound, nothing), (same, _)) = shown(path)
    assert (len(sound), len(same), nothing) == (N_ROWS, N_ROWS, [])
    known, rng, figures = set(sound), random.Random(n_flips), Counter[str]()
    kinds: dict[str, list[Path]] = {}
    for file in data_files(path):
        kinds.setdefault(kind_of(file), []).append(file)
    assert len(kinds) == 6
    for n in range(n_flips + n_cuts):
        file = rng.choice(rng.choice(sorted(kinds.values())))
        data = file.read_bytes()
        if n < n_flips:
            what, damaged = "flipped", bytearray(data)
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            what, damaged = "cut", bytearray(data[: rng.randrange(len(data))])
        file.write_bytes(damaged)
        assert is_reported(path), (file, what, n)
        for rows, said in shown(path, by_console=n_flips > 20 or n % 4 == 0):  # a process each
            assert len(rows) == len(set(rows))
            assert set(rows) <= known, (file, what, n)
            assert set(Counter(row[1] for row in rows).values()) <= {8}
            assert len(rows) == N_ROWS or said, (file, what, n)
            figures["said" if said else "all rows right"] += 1
        figures[f"{kind_of(file)} {what}"] += 1
        file.write_bytes(data)
    assert verify_store(path).ok
    print(f"{n_flips} flips, {n_cuts} cuts: all reported; answers of readers: {dict(sorted(figures.items()))}")
