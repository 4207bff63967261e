"""The public Python API is what other people's scripts import: names, arguments and shapes."""

import inspect
import subprocess
import sys

import numpy as np

from moe_core.model import load_model
from moe_core.model.reference import RoutedModel


def test_a_script_loads_the_model_and_runs_texts() -> None:
    """load_model() and run() answer under the published names: unit rows of width 384, in the caller's order."""
    out = load_model().run(["The parcel never arrived.", "Thank you!"], budget=0.35, head="sentiment", sink=None)
    assert (out.embeddings.shape, out.embeddings.dtype) == ((2, 384), np.float32)
    np.testing.assert_allclose(np.linalg.norm(out.embeddings, axis=1), 1.0, atol=1e-5)
    assert out.labels == ["negative", "positive"]
    assert len(out.scores) == 2
    assert 0 < out.active_fraction < 1
    assert out.flops < out.flops_dense


def test_run_keeps_its_public_arguments() -> None:
    """What scripts pass by name stays: texts, budget, head, sink."""
    assert {"texts", "budget", "head", "sink"} <= set(inspect.signature(RoutedModel.run).parameters)


def test_importing_the_model_package_loads_no_torch() -> None:
    """`import moe_core.model` is free; torch comes with the first model."""
    code = "import sys, moe_core.model; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
