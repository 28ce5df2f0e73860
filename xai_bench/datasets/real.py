"""Real tables that come with scikit-learn: nobody knows which inputs are relevant."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from xai_bench.datasets.base import DataSource, Table, Trait


class Digits(DataSource):
    """1797 handwritten digits of 8 x 8 pixels in [0, 1] (UCI, Alpaydin and Kaynak 1998)."""

    name: ClassVar[str] = "digits"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")

    def draw(self, rng: np.random.Generator) -> Table:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        return Table(
            X=bunch.data / 16,
            y=bunch.target,
            kind="classification",
            feature_names=tuple(bunch.feature_names),
            feature_shape=(8, 8),
            class_names=tuple(str(label) for label in bunch.target_names),
            target_name="digit",
        )


class BreastCancer(DataSource):
    """569 tumours, 30 measurements of cell nuclei (UCI, Wolberg, Street and Mangasarian 1995)."""

    name: ClassVar[str] = "breast_cancer"
    belongs_to: ClassVar[str] = "tabular"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")

    def draw(self, rng: np.random.Generator) -> Table:
        from sklearn.datasets import load_breast_cancer

        bunch = load_breast_cancer()
        return Table(
            X=bunch.data,
            y=bunch.target,
            kind="classification",
            feature_names=tuple(str(name) for name in bunch.feature_names),
            class_names=tuple(str(label) for label in bunch.target_names),
            target_name="diagnosis",
        )


class Diabetes(DataSource):
    """442 patients, ten variables, the progression of the disease after a year (Efron et al. 2004)."""

    name: ClassVar[str] = "diabetes"
    belongs_to: ClassVar[str] = "tabular"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")

    def draw(self, rng: np.random.Generator) -> Table:
        from sklearn.datasets import load_diabetes

        bunch = load_diabetes(scaled=False)
        units = {"age": "years", "bmi": "kg/m2"}  # those of the other variables are not documented
        return Table(
            X=bunch.data,
            y=bunch.target,
            kind="regression",
            feature_names=tuple(bunch.feature_names),
            feature_units=tuple(units.get(name, "") for name in bunch.feature_names),
            target_name="disease progression",
        )


class Wine(DataSource):
    """178 Italian wines of three growers, 13 chemical measurements (UCI, Aeberhard and Forina 1992)."""

    name: ClassVar[str] = "wine"
    belongs_to: ClassVar[str] = "tabular"
    traits: ClassVar[tuple[Trait, ...]] = ("correlated", "real")

    def draw(self, rng: np.random.Generator) -> Table:
        from sklearn.datasets import load_wine

        bunch = load_wine()
        return Table(
            X=bunch.data,
            y=bunch.target,
            kind="classification",
            feature_names=tuple(bunch.feature_names),
            class_names=tuple(str(label) for label in bunch.target_names),
            target_name="grower",
        )
