"""The head of a manifest: a file beside it that repeats the number and hash of its last line.

A hash chain cannot show that its end is gone; the head can, as long as nobody changes both. A writer makes its head
before its first line and notes every line in it after that line is durable, so that a head is never ahead of its
manifest, and behind it only where the writer was killed in between.
"""

from pathlib import Path

Head = tuple[int, str]  # (seq, hash); before the first line: (-1, what that line will continue)


def head_path(manifest_path: Path) -> Path:
    return manifest_path.with_suffix(".head")


def head_bytes(seq: int, digest: str) -> bytes:
    """The one spelling of a head, as long for every line: it is written over in place."""
    return f"{seq:+020d} {digest}\n".encode("ascii")


def read_head(manifest_path: Path) -> Head:
    """The last line as its writer noted it. Raises OSError or ValueError where there is none."""
    path = head_path(manifest_path)
    raw = path.read_bytes()
    while raw != (again := path.read_bytes()):  # its writer was at it
        raw = again
    seq, digest = raw.decode("ascii").split()
    if int(seq) < -1 or raw != head_bytes(int(seq), digest):
        raise ValueError("it is not in the form in which it was written")
    return int(seq), digest


def noted_head(manifest_path: Path) -> Head | str | None:
    """The head; or what is wrong with it; or None where its writer has not come to write it."""
    path = head_path(manifest_path)
    try:
        return read_head(manifest_path) if path.stat().st_size else None
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    except ValueError as error:
        return f"{path.name} is damaged: {error}"


def head_problem(path: Path, head: Head | str | None, first_seq: int, hashes: list[str]) -> str | None:
    """How a head contradicts the lines of the manifest `path`, as a clause; None if it does not.

    `head` must have been read before the lines: whoever goes on writing meanwhile is then ahead of it. `hashes` are of
    the line before number `first_seq` (or what stands in for it) and of all from there to the end.
    """
    n_lines = first_seq + len(hashes) - 1
    if not isinstance(head, tuple):
        head = noted_head(path)  # perhaps its writer has begun only now
        if isinstance(head, tuple) or (head is None and n_lines == 0):
            return None
        return head or f"{head_path(path).name} is missing: the end of {path.name} may be missing, too"
    seq, digest = head
    if seq >= n_lines:
        return f"{path.name} has {n_lines} lines, its head says {seq + 1}: its end is missing"
    if seq >= first_seq - 1 and digest != hashes[seq - first_seq + 1]:
        return f"{path.name} line {seq + 1} is not the one that its head names"
    return None
