"""Upcycling an encoder of the user's own: texts shared out, settings that fit, runs that resume."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from moe_core.errors import CheckpointError, ConfigError, InputError
from moe_core.model.base_check import Base, read_base
from moe_core.model.encoder import pack, pool
from moe_core.model.reference import load_model
from moe_core.model.training import TrainingConfig
from moe_core.model.upcycle import check_out, upcycle, upcycle_config
from moe_core.model.upcycle_texts import TextShares, read_shares
from moe_core.records import StepReport
from tests.unit.toy_encoder import toy_encoder, toy_texts


@pytest.fixture
def base(tmp_path: Path) -> Base:
    toy_encoder(tmp_path / "base")
    return read_base(tmp_path / "base")


def written(path: Path, texts: list[str]) -> Path:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def shares(tmp_path: Path, base: Base, n: int = 120) -> TextShares:
    return read_shares(written(tmp_path / "texts.txt", toy_texts(n)), None, base.tokenizer)


def quick(base: Base, tmp_path: Path, steps: int = 8) -> TrainingConfig:
    path = tmp_path / "quick.toml"
    path.write_text("n_experts = 4\ncheckpoint_every = 4\nrouter_steps = 4\n[batch]\ntokens = 128\n")
    return upcycle_config(base, path, steps=steps)[0]


def rows_of(shares: TextShares) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    sides = (shares.train, shares.heldout)
    train, heldout = ({tuple(side.text(i, 99)) for i in range(len(side))} for side in sides)
    return train, heldout


def test_the_held_out_texts_do_not_depend_on_the_order_of_the_file(tmp_path: Path, base: Base) -> None:
    """A tenth, 50 at least, chosen by the text itself; nothing is on both sides."""
    texts = toy_texts(800)
    one = read_shares(written(tmp_path / "a.txt", texts), None, base.tokenizer)
    other = read_shares(written(tmp_path / "b.txt", texts[::-1]), None, base.tokenizer)
    assert (len(one.train), len(one.heldout)) == (720, 80)
    train, heldout = rows_of(one)
    assert rows_of(other) == (train, heldout)
    assert not train & heldout
    few = read_shares(written(tmp_path / "c.txt", texts[:110]), None, base.tokenizer)
    assert (len(few.train), len(few.heldout)) == (60, 50)


def test_repeated_texts_are_used_once_and_never_on_both_sides(tmp_path: Path, base: Base) -> None:
    """Case and spaces do not make a text new; a training text that is held out elsewhere is not trained on."""
    texts = toy_texts(200)
    file = written(tmp_path / "a.txt", [*texts, *(text.upper() for text in texts[:30]), " \x07 zero\u200b"])
    heldout = written(tmp_path / "h.txt", [*texts[:20], *toy_texts(60, seed=5)])
    result = read_shares(file, heldout, base.tokenizer)
    train, held = rows_of(result)
    assert not train & held
    assert len(result.heldout) == 80
    assert any("30 repeated texts" in note for note in result.notes)
    assert any("20 texts are also in h.txt" in note for note in result.notes)


def test_too_little_text_is_refused(tmp_path: Path, base: Base) -> None:
    """The sentence says how many there are and how many are needed."""
    with pytest.raises(InputError, match="leaves 20 different texts to train on and 50 to measure on; at least 50"):
        read_shares(written(tmp_path / "a.txt", toy_texts(70)), None, base.tokenizer)
    heldout = written(tmp_path / "h.txt", toy_texts(10, seed=7))
    with pytest.raises(InputError, match="10 to measure on"):
        read_shares(written(tmp_path / "a.txt", toy_texts(300)), heldout, base.tokenizer)


def test_a_text_of_another_script_is_remarked(tmp_path: Path, base: Base) -> None:
    """Most tokens unknown: perhaps the wrong language."""
    result = read_shares(written(tmp_path / "a.txt", [f"слово {i} никогда" for i in range(120)]), None,
                         base.tokenizer)  # fmt: skip
    assert any("unknown to the tokenizer" in note for note in result.notes)


@pytest.mark.parametrize(("neurons", "wanted", "made"), [(100, None, 10), (34, 16, 2), (96, 12, 12), (36, 8, 6)])
def test_the_largest_number_of_experts_that_divides_is_taken(
    tmp_path: Path, neurons: int, wanted: int | None, made: int
) -> None:
    """At most the number asked for (16 by default), and a remark if it is another one."""
    toy_encoder(tmp_path, intermediate_size=neurons)
    config, notes = upcycle_config(read_base(tmp_path), n_experts=wanted)
    assert config.n_experts == made
    assert bool(notes) == (made != (wanted or 16))


def test_defaults_are_gentle_and_the_file_overrides_them(base: Base, tmp_path: Path) -> None:
    """300 steps, original queries and keys, gates that pass gradients; what the file does not say stays."""
    config, _ = upcycle_config(base)
    assert (config.steps, config.qk_width, config.objective.gate_gradient) == (300, 0, True)
    assert config.batch.max_tokens == 32  # the encoder's positions
    path = tmp_path / "c.toml"
    path.write_text("qk_width = 4\nsteps = 50\n[objective]\nembedding = 2.0\n")
    config, _ = upcycle_config(base, path, steps=60)
    assert (config.steps, config.qk_width, config.objective.embedding) == (60, 4, 2.0)
    assert config.objective.gate_gradient


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("qk_width = 8", "heads of this encoder are 8 wide"),
        ("rule = 'topk'", "only 'adaptive'"),
        ("stepps = 3", "unknown key 'stepps'"),
        ("checkpoint_every = 0", "checkpoint_every is 0"),
        ("[batch]\nmax_tokens = 2", "max_tokens is 2"),
        ("ramp = 0.0", "ramp is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(base: Base, tmp_path: Path, toml: str, words: str) -> None:
    """Before anything is trained."""
    path = tmp_path / "c.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError, match=words):
        upcycle_config(base, path)


def test_numbers_out_of_range_are_refused(base: Base, tmp_path: Path) -> None:
    """No steps, one expert, neurons that cannot be divided."""
    with pytest.raises(InputError, match="0 steps"):
        upcycle_config(base, steps=0)
    with pytest.raises(InputError, match="1 experts are out of range"):
        upcycle_config(base, n_experts=1)
    toy_encoder(tmp_path / "prime", intermediate_size=37)
    with pytest.raises(InputError, match="37 feed-forward neurons do not divide"):
        upcycle_config(read_base(tmp_path / "prime"))


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    """A full folder, a place inside the base, a state inside the result."""
    written(tmp_path / "full", ["x"])
    with pytest.raises(InputError, match="is not empty"):
        check_out(tmp_path / "full", tmp_path / "base", tmp_path / "state")
    with pytest.raises(InputError, match="inside the base"):
        check_out(tmp_path / "base" / "out", tmp_path / "base", tmp_path / "state")
    with pytest.raises(InputError, match="lies in --out"):
        check_out(tmp_path / "out", tmp_path / "base", tmp_path / "out" / "state")


def run(base: Base, texts: TextShares, config: TrainingConfig, tmp_path: Path, name: str) -> Iterator[StepReport]:
    return upcycle(base, texts, config, tmp_path / name, tmp_path / f"{name}.state", lambda folder: None)


def losses(reports: Iterator[StepReport]) -> dict[int, float]:
    return {report.step: report.values["loss"] for report in reports if "loss" in report.values}


def test_a_run_that_was_stopped_goes_on_and_ends_as_if_it_had_not_been(base: Base, tmp_path: Path) -> None:
    """Stopped after step 5, it resumes at step 4; nothing stands in the result's place before the end."""
    texts, config = shares(tmp_path, base), quick(base, tmp_path)
    straight = losses(run(base, texts, config, tmp_path, "one"))
    assert sorted(straight) == list(range(8))
    stopped = run(base, texts, config, tmp_path, "two")
    assert len(losses(itertools.islice(stopped, 1 + 4 + 6))) == 6
    stopped.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "two").exists()
    assert list(tmp_path.glob(".two*")) == []
    rest = losses(run(base, texts, config, tmp_path, "two"))
    assert sorted(rest) == [4, 5, 6, 7]
    assert list(rest.values()) == pytest.approx([straight[step] for step in rest], rel=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    torch.testing.assert_close(one["layers.0.ffn.mean_ED"], two["layers.0.ffn.mean_ED"], atol=1e-5, rtol=1e-4)


def test_a_state_of_another_run_is_refused(base: Base, tmp_path: Path) -> None:
    """Other texts, other settings, a damaged file: one sentence, and the state stays as it is."""
    texts, config = shares(tmp_path, base), quick(base, tmp_path)
    list(itertools.islice(run(base, texts, config, tmp_path, "one"), 1 + 4 + 5))
    with pytest.raises(InputError, match=r"another run \(different texts and held-out texts\)"):
        run(base, shares(tmp_path, base, 130), config, tmp_path, "one")
    with pytest.raises(InputError, match=r"another run \(different settings\)"):
        run(base, texts, quick(base, tmp_path, steps=9), tmp_path, "one")
    (tmp_path / "one.state" / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="is damaged"):
        run(base, texts, config, tmp_path, "one")
    (tmp_path / "one.state" / "run.json").unlink()
    with pytest.raises(InputError, match="different origin"):
        run(base, texts, config, tmp_path, "one")


def test_the_folder_answers_without_heads_and_its_dense_mode_is_the_base(base: Base, tmp_path: Path) -> None:
    """Labels are None; dense embeddings are those of the base within 1e-5; the dial was measured on held-out texts."""
    texts = shares(tmp_path, base)
    list(run(base, texts, quick(base, tmp_path), tmp_path, "one"))
    model = load_model(tmp_path / "one")
    assert (model.name, model.default_head, model.heads) == ("one", None, {})
    asked = ["the parcel never arrived", "good music"]
    assert model.run(asked, budget=0.6).labels == [None, None]
    with torch.inference_mode():
        packed = pack([base.tokenizer.encode(text).ids for text in asked])
        expected = pool(base.dense(packed)[0], packed).numpy()
    np.testing.assert_allclose(model.run(asked, mode="dense").embeddings, expected, atol=1e-5)
    document = json.loads((tmp_path / "one" / "calibration.json").read_text())
    assert {point["n_texts"] for point in document["points"]} == {len(texts.heldout)}
    with pytest.raises(InputError, match="the model reads at most 32"):
        model.run(["the " * 40])
    assert model.run(["the " * 40], truncate=True).answers[0].n_tokens == 32
