"""The compiled parts, all optional: without a compiler they are left out, and PyTorch and numpy do the same, slower."""

from setuptools import Extension, setup

COMPILED = {
    "moe_core.model._short_text": "moe_core/model/_short_text.c",
    "moe_core.model._decisions": "moe_core/model/_decisions.c",
    "moe_core.log._quantise": "moe_core/log/_quantise.c",
    "moe_core.log._leaves": "moe_core/log/_leaves.c",
}

setup(
    ext_modules=[
        Extension(name, [source], optional=True,
                  extra_compile_args=["-O3", "-ffp-contract=off"])  # no fused multiply-add: same sums on every machine
        for name, source in COMPILED.items()
    ]
)  # fmt: skip
