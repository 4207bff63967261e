"""Why a test that starts Spark is skipped."""

import importlib.util

import pytest

from moe_core.errors import SparkError
from moe_core.spark.session import check_java


def _missing() -> str | None:
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed: run make test-spark"
    try:
        check_java()
    except SparkError as error:
        return str(error)
    return None


MISSING = _missing()
spark_tests = [pytest.mark.spark, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]
