"""The two halves of the documents of a run: what is found on the first has to be found again on the second.

A request belongs to a half by a hash of its id: for good, whatever is recorded later, and whenever it was recorded. A
split by time would leave a drift of the traffic in one half.
"""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def halves_of(request_ids: Iterable[str]) -> NDArray[np.int64]:
    """0 or 1 for each request id."""
    return np.fromiter((blake2b(name.encode(), digest_size=1).digest()[0] & 1 for name in request_ids), np.int64)
