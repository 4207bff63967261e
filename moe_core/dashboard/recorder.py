"""Keeps the runs of the live page open, one per setting, so that 20 questions are not 40 runs in the log.

One `SegmentSink` holds one run at a time, so each open run has its own sink; the least recently used one is
closed when there are more than `MAX_OPEN`. All calls happen under the inference lock.
"""

from collections import OrderedDict
from pathlib import Path

from moe_core.log.writer import SegmentSink
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Answer, Setting, TextRequest
from moe_core.model.session import Session

MAX_OPEN = 4
SOURCE = "live"


class LiveRecorder:
    """Answers texts and keeps every decision of them. Raises LogError where the store cannot be written."""

    def __init__(self, model: RoutedModel, store: Path) -> None:
        self.model, self.store = model, store
        self._open: OrderedDict[Setting, tuple[Session, SegmentSink]] = OrderedDict()

    def answer(self, setting: Setting, text: str) -> Answer:
        """The answer to one text; durable in the log when it returns."""
        session, sink = self._session(setting)
        answer = session.answer([TextRequest(text=text)])[0]
        sink.flush()
        return answer

    def close(self) -> None:
        """End all open runs."""
        while self._open:
            self._open.popitem()[1][1].close()

    def _session(self, setting: Setting) -> tuple[Session, SegmentSink]:
        if setting in self._open:
            self._open.move_to_end(setting)
            return self._open[setting]
        sink = SegmentSink(self.store)
        try:
            session = self.model.session(setting, sink, source=SOURCE, actor="dashboard")
        except BaseException:
            sink.close()
            raise
        self._open[setting] = (session, sink)
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)[1][1].close()
        return session, sink
