"""What was handed over to a writer and is not on the disk yet. Not thread-safe: its owner guards it."""

import time
from collections.abc import Sequence

from moe_core.log.chunks import AnsweredChunk, Chunk


class Waiting:
    """Chunks in the order in which they were handed over.

    `weight`: what they count; `unmade`: what those count that are no records yet and were not there when `taken_ahead`
    was called; `since`: when the oldest came (time.monotonic).
    """

    def __init__(self) -> None:
        self.chunks: list[Chunk | AnsweredChunk] = []
        self.weight = self.unmade = 0
        self.since = 0.0

    def __bool__(self) -> bool:
        return bool(self.chunks)

    def add(self, chunks: Sequence[Chunk | AnsweredChunk]) -> None:
        if not self.chunks:
            self.since = time.monotonic()
        for chunk in chunks:
            self.chunks.append(chunk)
            weight = chunk.weight
            self.weight += weight
            if isinstance(chunk, AnsweredChunk):
                self.unmade += weight

    def take(self) -> list[Chunk | AnsweredChunk]:
        """All of them; nothing waits any more."""
        chunks, self.chunks, self.weight, self.unmade = self.chunks, [], 0, 0
        return chunks

    def put_back(self, chunks: Sequence[Chunk | AnsweredChunk]) -> None:
        """Before those that came meanwhile. They wait from now on, so that they are not tried again at once."""
        self.chunks[:0] = chunks
        self.weight = sum(chunk.weight for chunk in self.chunks)
        self.since = time.monotonic()

    def taken_ahead(self) -> list[Chunk | AnsweredChunk]:
        """All of them, to make records of; they go on waiting, until `replace`."""
        self.unmade = 0
        return list(self.chunks)

    def replace(self, n: int, chunks: Sequence[Chunk]) -> None:
        """The first `n` by `chunks`, which were made of them."""
        self.chunks[:n] = chunks
        self.weight = sum(chunk.weight for chunk in self.chunks)
