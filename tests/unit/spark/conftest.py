"""One Spark for all tests that ask it, and a store with something of everything."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from moe_core.log.writer import SegmentSink
from moe_core.spark.session import Spark, start_spark
from tests.unit.log.build import T0, make_request, make_run, plain_batch

RUN_IDS = ("007", "a/b=c", "it's 50%", "日本", "2026-03-01", "null")


@pytest.fixture(scope="session")
def spark() -> Iterator[Spark]:
    """Two tasks at a time; a JVM that does not spend its time on compiling what runs once."""
    with start_spark("local[2]", {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}) as running:
        yield running


@pytest.fixture(scope="session")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs with strange names, two batches each: 36 requests, 120 tokens, 480 decisions; unknown domains and
    labels, several hours and two days, attributes, texts that are hostile as SQL."""
    path = tmp_path_factory.mktemp("varied") / "store"
    with SegmentSink(path, flush_seconds=60) as sink:
        for place, run_id in enumerate(RUN_IDS):
            sink.begin_run(make_run(run_id, started_at=T0 + timedelta(hours=place), quality_card={"rows": place}))
            for batch in range(2):
                lengths = [2, 3, 5] if batch else [1, 4, 5]
                requests = [
                    make_request(
                        f"{run_id}/{batch}/{i}", n, started_at=T0 + timedelta(hours=5 * i + 9 * batch, microseconds=7),
                        domain=[None, "mail", "news"][i], label=None if i == 2 else "spam", score=0.1 * (i + place),
                        latency_ms=1.5 * i + place, active_fraction=0.1 * (i + 1), flops=10**14 + i,
                        attributes={} if i == 0 else {"sex": "f", "it's": "a\\'b"}, text="'; DROP TABLE runs; -- \\",
                    )
                    for i, n in enumerate(lengths)
                ]  # fmt: skip
                sink.append(requests, plain_batch(lengths))
                sink.flush()
    return path
