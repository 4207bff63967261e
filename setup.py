"""The one compiled part, optional: without a compiler it is left out and PyTorch does the same, slower."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("moe_core.model._short_text", ["moe_core/model/_short_text.c"], optional=True,
                  extra_compile_args=["-O3", "-ffp-contract=off"]),  # no fused multiply-add: same sums on every machine
    ]
)  # fmt: skip
