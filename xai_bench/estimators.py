"""The spectral network as scikit-learn estimators: the layer, the training and the path are the suite's.

They follow scikit-learn's conventions (``fit``, ``predict``, ``score``, ``clone``, pipelines, searches) and keep its
words where it has one; the other parameters are named after the fields of ``models.mlp.SpectralMLP``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from xai_bench.datasets.base import Bools, Floats
from xai_bench.errors import InputError
from xai_bench.models.base import Kind
from xai_bench.models.mlp import Activation, SpectralMLP
from xai_bench.models.path import Rows, SparseSettings
from xai_bench.models.sparse import Constant, choose_support, support_at
from xai_bench.models.spectral import SpectralLinear
from xai_bench.models.training import fit_many
from xai_bench.sklearn_inside import check_sample_weight

FULL_BATCH = 200
"""Rows of a batch at the most, as in scikit-learn's own network; smaller tables are one batch."""
AUTO_EPOCHS, AUTO_STEPS = 200, 1000
"""Passes, and gradient steps at the least, where ``epochs`` is "auto"."""
PREDICTED_AT_ONCE = 8192
DTYPES = (np.float64, np.float32)
"""The network computes in the type of X; other types become the first of these."""


class SpectralEstimator(BaseEstimator):
    """What the two estimators share. Subclasses turn the target into numbers, and outputs into predictions.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the hidden layers.
    activations, batch_norm, dropout : tuples
        The i-th value belongs to the i-th hidden layer, the last one to all further layers.
    l2_lambda, l2_phi : float >= 0
        Penalties on the eigenvalues and eigenvectors of the first layer.
    initial_eigenvalues : "ones" or "moments"
        At 1, as published, or (ours) where the evidence of the rows for each input puts them, see ``models.moments``.
        All rows count alike for that.
    learning_rate : float
        Of Adam, at the first step; it falls to 0 along half a cosine.
    epochs : int or "auto"
        Passes through the rows; at least as many gradient steps. "auto" is 200, and 1000 gradient steps at the least:
        before, the relevance of a small table has not settled (``reports/schedules/summary.md``).
    batch_size : int or "auto"
        Rows of a batch; "auto" takes all rows up to 200.
    early_stopping : bool
        Hold ``validation_fraction`` of the rows out and keep the best of ``checkpoints`` evenly spaced moments.
    standardize : bool
        Give inputs (and numeric targets) mean 0 and variance 1 inside, as the suite does.
    sparsity : None, float >= 0 or "auto"
        None keeps all inputs. A number is a strength of the L1 penalty on the eigenvalues: the inputs whose
        eigenvalue it leaves different from 0 are kept. "auto" chooses the strength on held-out rows, see
        ``models.sparse``, and among equally good inputs that can stand for each other by stability, see
        ``models.agreement``. The network is then fitted on the kept inputs without that penalty.
    path : SparseSettings or None
        How ``sparsity`` searches; None for the defaults.
    random_state : int, RandomState or None

    Attributes
    ----------
    feature_importances_ : (n_features,), |lambda_j| ||phi_:j|| of the first layer; 0 where an input is not used
    eigenvalues_ : (n_features,), lambda_j; 0 where an input is not used
    support_ : (n_features,) bool, the inputs that are used
    module_ : the network, from the standardised inputs of the support
    n_features_in_ : int
    feature_names_in_ : (n_features,), if X was a DataFrame with names
    """

    kind_: Kind
    target_mean_: Floats | float
    target_std_: Floats | float

    def __init__(
        self,
        hidden: Sequence[int] = (100, 100, 50),
        *,
        activations: Sequence[Activation] = ("tanh", "relu"),
        batch_norm: Sequence[bool] = (False,),
        dropout: Sequence[float] = (0.0,),
        l2_lambda: float = 1.0,
        l2_phi: float = 1e-2,
        initial_eigenvalues: Literal["ones", "moments"] = "ones",
        learning_rate: float = 1e-2,
        epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        checkpoints: int = 20,
        standardize: bool = True,
        sparsity: float | Literal["auto"] | None = None,
        path: SparseSettings | None = None,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activations = activations
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.l2_lambda = l2_lambda
        self.l2_phi = l2_phi
        self.initial_eigenvalues = initial_eigenvalues
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.checkpoints = checkpoints
        self.standardize = standardize
        self.sparsity = sparsity
        self.path = path
        self.random_state = random_state

    @abstractmethod
    def _encode(self, y: NDArray, sample_weight: Floats) -> NDArray:
        """The target as the network sees it; sets what ``predict`` needs to go back."""

    @abstractmethod
    def _n_outputs(self, y: NDArray) -> int:
        """Outputs of the network for the encoded target."""

    def _architecture(self) -> SpectralMLP:
        """The suite's component; raises InputError for values that it does not take."""
        epochs, min_steps = (AUTO_EPOCHS, AUTO_STEPS) if self.epochs == "auto" else (int(self.epochs),) * 2
        return SpectralMLP(
            hidden=tuple(int(width) for width in self.hidden),
            activations=tuple(self.activations),
            batch_norm=tuple(bool(on) for on in self.batch_norm),
            dropout=tuple(float(rate) for rate in self.dropout),
            l2_lambda=float(self.l2_lambda),
            l2_phi=float(self.l2_phi),
            initial_eigenvalues=self.initial_eigenvalues,
            learning_rate=float(self.learning_rate),
            epochs=float(epochs),
            min_steps=min_steps,
            batch_size=FULL_BATCH if self.batch_size == "auto" else int(self.batch_size),
            checkpoints=int(self.checkpoints) if self.early_stopping else 1,
        )

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on X (n, n_features) and y (n,), or (n, n_targets) in regression.

        Rows count ``sample_weight`` (n,) >= 0 times; rows of weight 0 are left out.

        Raises
        ------
        ValueError
            If the data cannot be used, or a parameter has a value that does not exist.
        """
        architecture = self._architecture()
        rows = self._prepared(X, y, sample_weight)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        dtype = torch.float32 if rows.X.dtype == np.float32 else torch.float64
        train = valid = np.arange(len(rows.X))
        if self.early_stopping:
            train, valid = self._split(rows.y, rng)
        self.support_ = self._support(rows, seed, dtype)
        self.module_: nn.Module
        if self.support_.any():
            # Without early stopping the only checkpoint is the end; the loss there decides nothing.
            data, row_weights = rows.split(train, valid)
            (fitted,) = fit_many(
                architecture,
                data,
                [seed],
                self.support_[None],
                row_weights=row_weights,
                rows=min(architecture.batch_size, len(train)),
                chunk=1,
                dtype=dtype,
            )
            self.module_ = fitted.module
        else:
            self.module_ = Constant.of(rows.y, rows.kind, rows.n_outputs, rows.weight).to(dtype)
        self._read_relevance(rows.X.shape[1])
        return self

    def _prepared(self, X: Any, y: Any, sample_weight: ArrayLike | None) -> Rows:
        """What the user gave, checked and as the network sees it; rows of weight 0 are gone."""
        numeric = self.kind_ == "regression"
        X, y = validate_data(self, X, y, dtype=DTYPES, multi_output=numeric, y_numeric=numeric)
        weight = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            raise InputError("sample_weight: expected rows with a weight above 0, got none: raise some")
        target = self._encode(y, weight)
        n_outputs = self._n_outputs(target)
        weight = self._weight(y, weight)
        used = weight > 0
        X, weight = X[used], weight[used]
        self._learn_scale(X, weight)
        return Rows(self._scaled(X), target[used], self.kind_, n_outputs, weight)

    def _weight(self, y: NDArray, sample_weight: Floats) -> Floats:
        return sample_weight

    def _learn_scale(self, X: Floats, weight: Floats) -> None:
        """Mean and 1 / standard deviation of the inputs; constant columns get scale 0."""
        d = X.shape[1]
        self.mean_: Floats = np.zeros(d)
        self.scale_: Floats = np.ones(d)
        if self.standardize:
            self.mean_, std = weighted_moments(X.astype(np.float64), weight)
            constant = np.ptp(X, axis=0) == 0
            self.scale_ = np.where(constant, 0.0, 1.0 / np.where(constant | (std == 0), 1.0, std))

    def _scaled(self, X: Floats) -> Floats:
        return np.ascontiguousarray(((X - self.mean_) * self.scale_).astype(X.dtype))

    def _split(self, target: NDArray, rng: np.random.RandomState) -> tuple[NDArray, NDArray]:
        """Row numbers of the training and validation part; classes keep their shares where they can."""
        stratify = None
        if self.kind_ == "classification" and np.bincount(target)[np.unique(target)].min() > 1:
            stratify = target
        train, valid = train_test_split(
            np.arange(len(target)), test_size=self.validation_fraction, random_state=rng, stratify=stratify
        )
        return np.sort(train), np.sort(valid)

    def _support(self, rows: Rows, seed: int, dtype: torch.dtype) -> Bools:
        """(d,) the inputs that ``sparsity`` keeps."""
        if self.sparsity is None:
            return np.ones(rows.X.shape[1], dtype=bool)
        settings = self.path or SparseSettings()
        if self.sparsity == "auto":
            return choose_support(rows, settings, seed, dtype=dtype).support
        if isinstance(self.sparsity, str) or not float(self.sparsity) >= 0:
            raise InputError(
                f"sparsity: expected None, a number >= 0 or 'auto', got {self.sparsity!r}: give one of them"
            )
        return support_at(float(self.sparsity), rows, settings, seed, dtype=dtype)

    def _read_relevance(self, d: int) -> None:
        self.eigenvalues_, self.feature_importances_ = np.zeros(d), np.zeros(d)
        first = next(self.module_.children(), None)
        if isinstance(first, SpectralLinear):
            self.eigenvalues_[self.support_] = first.lambda_in.detach().numpy()
            self.feature_importances_[self.support_] = first.relevance().numpy()

    def _outputs(self, X: ArrayLike) -> Tensor:
        """(n, n_outputs) of the network."""
        check_is_fitted(self)
        checked: Floats = validate_data(self, X, dtype=DTYPES, reset=False)
        parameter = next(iter(self.module_.state_dict().values()))
        inputs = torch.from_numpy(self._scaled(checked)[:, self.support_]).to(parameter.dtype)
        with torch.no_grad():
            return torch.cat([self.module_(part) for part in inputs.split(PREDICTED_AT_ONCE)])


def weighted_moments(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation over the rows of ``values`` (n, ...), weighted with ``weight`` (n,)."""
    mean = np.average(values, axis=0, weights=weight)
    return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))


class SpectralMLPClassifier(ClassifierMixin, SpectralEstimator):
    """A classifier whose first layer is spectral: it says which inputs it uses.

    Parameters and attributes: those of ``SpectralEstimator``, and

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        Multiplies the weights of the rows of each class, as in scikit-learn.

    Attributes
    ----------
    classes_ : (n_classes,) sorted labels
    """

    kind_: Kind = "classification"

    def __init__(
        self,
        hidden: Sequence[int] = (100, 100, 50),
        *,
        activations: Sequence[Activation] = ("tanh", "relu"),
        batch_norm: Sequence[bool] = (False,),
        dropout: Sequence[float] = (0.0,),
        l2_lambda: float = 1.0,
        l2_phi: float = 1e-2,
        initial_eigenvalues: Literal["ones", "moments"] = "ones",
        learning_rate: float = 1e-2,
        epochs: int | Literal["auto"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        checkpoints: int = 20,
        standardize: bool = True,
        sparsity: float | Literal["auto"] | None = None,
        path: SparseSettings | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(
            hidden,
            activations=activations,
            batch_norm=batch_norm,
            dropout=dropout,
            l2_lambda=l2_lambda,
            l2_phi=l2_phi,
            initial_eigenvalues=initial_eigenvalues,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            checkpoints=checkpoints,
            standardize=standardize,
            sparsity=sparsity,
            path=path,
            random_state=random_state,
        )
        self.class_weight = class_weight

    def _encode(self, y: NDArray, sample_weight: Floats) -> NDArray:
        check_classification_targets(y)
        self.classes_, target = np.unique(y, return_inverse=True)
        return target.astype(np.int64)

    def _weight(self, y: NDArray, sample_weight: Floats) -> Floats:
        if self.class_weight is None:
            return sample_weight
        return sample_weight * compute_sample_weight(self.class_weight, y)

    def _n_outputs(self, y: NDArray) -> int:
        return len(self.classes_)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """(n, n_classes) probabilities, in the order of ``classes_``."""
        return self._outputs(X).softmax(1).numpy()

    def predict(self, X: ArrayLike) -> NDArray:
        """(n,) the class with the highest probability."""
        best = self._outputs(X).argmax(1).numpy()
        return self.classes_[best]


class SpectralMLPRegressor(RegressorMixin, SpectralEstimator):
    """A regression of one or several targets whose first layer is spectral: it says which inputs it uses.

    Parameters and attributes: those of ``SpectralEstimator``.
    """

    kind_: Kind = "regression"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _encode(self, y: NDArray, sample_weight: Floats) -> NDArray:
        y = y.astype(np.float64)
        self._several_targets = y.ndim == 2
        self.target_mean_, self.target_std_ = 0.0, 1.0
        if self.standardize:
            mean, std = weighted_moments(y, sample_weight)
            self.target_mean_, self.target_std_ = mean, np.where(std > 0, std, 1.0)
        return (y - self.target_mean_) / self.target_std_

    def _n_outputs(self, y: NDArray) -> int:
        return 1 if y.ndim == 1 else int(y.shape[1])

    def predict(self, X: ArrayLike) -> Floats:
        """(n,), or (n, n_targets) if ``fit`` got a matrix."""
        outputs = self._outputs(X).numpy()
        if not self._several_targets:
            outputs = outputs[:, 0]
        return (outputs * self.target_std_ + self.target_mean_).astype(outputs.dtype)
