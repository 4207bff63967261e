"""A frame as the rows of a JSON document."""

from typing import Any

import pandas as pd


def json_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """One object per row, keyed by column; what is not known (NaN, NaT, None) is None."""
    return [
        {str(name): None if value is None or value != value else value for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]
