"""The other process of `freshness.py`: owns the index, refreshes it as the dashboard does, tells what a query finds.

Prints "REQUESTS MOMENT" at the start and whenever a refresh brought something new: how many requests the query counted,
and when it had its answer (time.monotonic, which all processes of a machine share). Ends with its standard input.
"""

import select
import sys
import time
from pathlib import Path

from moe_core.errors import LogError
from moe_core.log import queries
from moe_core.log.index import Index

LOOK_EVERY_S = 0.005


def main() -> None:
    with Index.open(Path(sys.argv[1])) as index:
        index.start_background_refresh()
        told = -1
        while not select.select([sys.stdin], [], [], LOOK_EVERY_S)[0]:
            if (version := index.version) != told:
                found = int(queries.store_totals(index)["requests"].iloc[0])
                sys.stdout.write(f"{found} {time.monotonic()}\n")
                sys.stdout.flush()
                told = version


if __name__ == "__main__":
    try:
        main()
    except LogError as error:
        sys.exit(str(error))
