"""xai_bench: a benchmark of methods that say which inputs a neural network relies on.

The public names are loaded when they are first used: importing the package imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xai_bench.analysis.answer import Answer as Answer
    from xai_bench.analysis.explain import explain as explain
    from xai_bench.analysis.trust import trust as trust
    from xai_bench.analysis.trusted import Trust as Trust
    from xai_bench.conformance.architectures import check_architecture as check_architecture
    from xai_bench.conformance.data_sources import check_data_source as check_data_source
    from xai_bench.conformance.explainers import check_explainer as check_explainer
    from xai_bench.conformance.families import check as check
    from xai_bench.conformance.metrics import check_metric as check_metric
    from xai_bench.datasets.base import Dataset as Dataset
    from xai_bench.datasets.base import DataSource as DataSource
    from xai_bench.datasets.base import GroundTruth as GroundTruth
    from xai_bench.datasets.base import Table as Table
    from xai_bench.errors import InputError as InputError
    from xai_bench.estimators import SpectralMLPClassifier as SpectralMLPClassifier
    from xai_bench.estimators import SpectralMLPRegressor as SpectralMLPRegressor
    from xai_bench.explainers.base import Explainer as Explainer
    from xai_bench.explainers.base import LocalExplainer as LocalExplainer
    from xai_bench.explainers.base import Problem as Problem
    from xai_bench.metrics.base import Metric as Metric
    from xai_bench.models.base import Architecture as Architecture
    from xai_bench.models.path import SparseSettings as SparseSettings
    from xai_bench.models.sparse import SparsePath as SparsePath
    from xai_bench.models.sparse import sparse_path as sparse_path
    from xai_bench.models.spectral import SpectralLinear as SpectralLinear
    from xai_bench.models.spectral_conv import SpectralConv2d as SpectralConv2d
    from xai_bench.models.training import fit_many as fit_many
    from xai_bench.registry import register as register
    from xai_bench.report import write_report as write_report
    from xai_bench.results.difference import diff as diff
    from xai_bench.results.frames import Results as Results
    from xai_bench.results.merging import merge as merge
    from xai_bench.results.store import forget as forget
    from xai_bench.results.store import pack as pack
    from xai_bench.results.store import read as read
    from xai_bench.running.against import place as place
    from xai_bench.running.run import forecast as forecast
    from xai_bench.running.run import run as run
    from xai_bench.starter import new_package as new_package
    from xai_bench.suites.suite import Suite as Suite
    from xai_bench.trained.compare import compare as compare

__version__ = "0.3.0"

_HOME = {
    "Answer": "analysis.answer",
    "Architecture": "models.base",
    "DataSource": "datasets.base",
    "Dataset": "datasets.base",
    "Explainer": "explainers.base",
    "GroundTruth": "datasets.base",
    "InputError": "errors",
    "LocalExplainer": "explainers.base",
    "Metric": "metrics.base",
    "Problem": "explainers.base",
    "Results": "results.frames",
    "SparsePath": "models.sparse",
    "SparseSettings": "models.path",
    "SpectralConv2d": "models.spectral_conv",
    "SpectralLinear": "models.spectral",
    "SpectralMLPClassifier": "estimators",
    "SpectralMLPRegressor": "estimators",
    "Suite": "suites.suite",
    "Table": "datasets.base",
    "Trust": "analysis.trusted",
    "check": "conformance.families",
    "check_architecture": "conformance.architectures",
    "check_data_source": "conformance.data_sources",
    "check_explainer": "conformance.explainers",
    "check_metric": "conformance.metrics",
    "compare": "trained.compare",
    "diff": "results.difference",
    "explain": "analysis.explain",
    "fit_many": "models.training",
    "forecast": "running.run",
    "forget": "results.store",
    "merge": "results.merging",
    "new_package": "starter",
    "pack": "results.store",
    "place": "running.against",
    "read": "results.store",
    "register": "registry",
    "run": "running.run",
    "sparse_path": "models.sparse",
    "trust": "analysis.trust",
    "write_report": "report",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'xai_bench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"xai_bench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
