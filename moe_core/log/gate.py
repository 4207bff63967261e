"""Many readers at once, or one who needs to be alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadersGate:
    """`reading()` waits while somebody is `alone()`, who waits until all readers are out. Neither may be nested."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_readers = 0
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._changed:
            while self._is_closed:
                self._changed.wait()
            self._n_readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_readers -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            while self._is_closed:
                self._changed.wait()
            self._is_closed = True
            while self._n_readers:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._is_closed = False
                self._changed.notify_all()
