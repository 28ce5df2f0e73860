"""Which entrant of a page a row of results belongs to."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd


def of_entrants(rows: pd.DataFrame, entrants: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The rows that belong to an entrant, with its name in the column ``entrant``.

    ``entrants``: name to explainer and network, "" for none.
    """
    names = {of: name for name, of in entrants.items()}
    rows = rows.assign(entrant=[names.get(of, "") for of in zip(rows["explainer"], rows["model"], strict=True)])
    return rows[rows["entrant"] != ""]
