"""Small tables as people have them: the content of each file, by its name."""

from __future__ import annotations

import numpy as np
import pandas as pd

N = 60
BASE = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)).round(3), columns=["a", "b", "c"])
BASE["y"] = (BASE["a"] > 0).astype(int)
EVERY = np.arange(N)


def _csv(frame: pd.DataFrame = BASE, **options: object) -> str:
    return frame.to_csv(index=False, **options)


TABLES: dict[str, str] = {
    "semicolons, decimal commas": _csv(sep=";", decimal=","),
    "semicolons, header with trailing commas": _csv(sep=";", decimal=",").replace("y\n", "y;;,,\n", 1),
    "pipes": _csv(sep="|"),
    "no header line": _csv(header=False),
    "name with a blank": _csv(BASE.rename(columns={"y": "y "})),
    "title above the header": "Patients 2020\n" + _csv(),
    "blank lines at the end": _csv() + ",,,\n,,,\n",
    "a comma at the end of each line": _csv().replace("\n", ",\n"),
    "thousands": _csv(BASE.assign(a=[f"{1000 + i * 37:,}" for i in range(N)])),
    "percent": _csv(BASE.assign(a=[f"{i}%" for i in range(N)])),
    "yes and no": _csv(BASE.assign(a=np.where(EVERY % 2, "yes", "no"))),
    "three words": _csv(BASE.assign(a=np.array(["red", "green", "blue"])[EVERY % 3])),
    "dates": _csv(BASE.assign(a=pd.date_range("2020-01-01", periods=N).astype(str))),
    "missing values": _csv(BASE.assign(a=BASE["a"].where(EVERY % 7 > 0))),
    "minus 999": _csv(BASE.assign(a=np.where(EVERY % 5 == 0, -999.0, BASE["a"]))),
    "row number": _csv(BASE.assign(id=EVERY)),
    "sixteen-digit identifier": _csv(BASE.assign(id=[1234567890123456 + i * 7 for i in range(N)])),
    "copy of the target": _csv(BASE.assign(z=BASE["y"])),
    "identical columns": _csv(BASE.assign(z=BASE["a"])),
    "label with a blank": _csv(BASE.assign(y=np.array(["ill", "ill ", "well", "Well"])[EVERY % 4])),
    "two rows of a class": _csv(BASE.assign(y=[2, 2, *BASE["y"][2:]])),
    "class called NA": _csv(BASE.assign(y=np.where(EVERY % 2, "NA", "DE"))),
    "one mouse, fifteen rows": _csv(pd.concat([BASE.head(20)] * 15).assign(mouse=np.repeat(np.arange(20), 15) % 20)),
    "five percent positive": _csv(
        pd.concat([BASE] * 10, ignore_index=True).assign(y=(np.arange(600) % 20 == 0).astype(int))
    ),
}
