"""``compare``: methods on a network that was trained elsewhere, or on a function that predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from xai_bench import registry
from xai_bench.errors import InputError
from xai_bench.explainers.base import Explainer
from xai_bench.results.frames import Results
from xai_bench.running.request import Request
from xai_bench.running.run import compute
from xai_bench.suites.suite import CONTROLS, Entry, Limits, Retention, Sanity, Settling, Suite
from xai_bench.trained.network import look_at, source_of
from xai_bench.trained.rows import Axes, Joined, Kind, classes_of, rows_of, table_of
from xai_bench.trained.source import Content, RowsOfUser

if TYPE_CHECKING:
    from xai_bench.running.under_way import Progress

Chosen = str | Mapping[str, Any] | Explainer
METHODS = (
    *("saliency", "smoothgrad", "input_x_gradient", "integrated_gradients", "gradient_shap"),
    *("deeplift", "shap_deep", "lrp"),
    *("permutation_importance", "feature_ablation", "occlusion", "shap_permutation", "shap_kernel"),
)
"""Methods that are compared if none are named."""
LEAST_ROWS = 20
"""Rows of a part at the least."""


def compare(
    model: nn.Module | Callable[[Any], Any],
    X: Any,
    y: Any,
    explainers: Sequence[Chosen] | None = None,
    *,
    kind: Kind | None = None,
    classes: Sequence[str] = (),
    inputs: Axes | Joined = None,
    picture: bool | None = None,
    parts: int = 2,
    sanity: bool = True,
    seconds: float | None = 60.0,
    jobs: int | None = None,
    device: str = "cpu",
    name: str = "compare",
    out: str | Path = ".",
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Compare methods that say which inputs a trained model relies on.

    The rows are dealt into disjoint parts, and each is explained apart: whether a method says the same of both halves
    is its stability over rows. Of a part, a third are rows to compare with, a third are explained, and on the rest it
    is measured what the model still says with the top inputs only, the others standing at their mean (in pictures at
    0). Nothing is trained. Methods that cannot explain the model are ``unsupported``, with the reason.

    The model is copied, and computes in single precision; the one that is handed over stays as it is.

    Parameters
    ----------
    model : a module, or a function that predicts, from rows (n, ...) as X has them to scores (n, classes), or to
        values (n,) or (n, 1). One output of two classes is a logit, or a probability where all are in 0 .. 1. A
        function gets a DataFrame if X is one, else an array
    X : (n, ...) finite numbers: array, tensor or DataFrame, as the model wants them
    y : (n,) classes 0 .. K-1 in the order of the outputs, labels out of ``classes``, or values
    explainers : names, tables with a name, a label and fields, such as ``{"name": "lrp", "rule": "gamma"}``, or
        Explainers; None for ``METHODS``
    kind : ``classification`` or ``regression``; None for what outputs and target look like
    classes : labels in the order of the outputs
    inputs : axes of X, from 1, whose places are the inputs, such as 1 for the tokens of X (rows, tokens, features);
        what the others hold is joined. Of a table, names of inputs with their columns (names, or numbers from 0), such
        as ``{"place": ["place=north", "place=south"]}`` for one-hot columns; every other column is an input by itself.
        None for every number, and for the pixels of a picture
    picture : whether the last two axes of X are rows and columns of a picture, (n, rows, columns) or (n, channels,
        rows, columns); None: if X has four axes
    parts : disjoint parts of the rows; from five on methods are told apart, with intervals
    sanity : also explain the network with all its weights new; on the first part
    seconds : that one method may take on one part; None for any
    jobs : worker processes, to which parts of the rows are dealt; they get the model by pickling. None for this process
    device : ``cpu``, ``cuda``, ``auto`` ...
    name, out : results are kept in ``out``/runs/``name``: what is there of this model and these rows is not computed
        again
    fresh : compute all of it again
    on_progress : called after every step

    Raises
    ------
    InputError
        In one line, if the model, the rows, the target or a method cannot be used.
    """
    rows = rows_of(X, y)
    if kind not in (None, "classification", "regression"):
        raise InputError(f"kind: expected 'classification' or 'regression', got {kind!r}")
    _check_parts(parts, len(rows.X))
    looked = look_at(model, rows, kind)
    y_numbers, class_names = rows.y, tuple[str, ...]()
    if looked.kind == "classification":
        y_numbers, class_names = classes_of(rows.y, looked.outputs.shape[1], classes)
    elif classes:
        raise InputError("classes: expected none in regression: leave them out")
    elif rows.y.dtype.kind not in "biuf":
        raise InputError("y: expected numbers in regression, got texts")
    is_picture = rows.X.ndim == 4 if picture is None else picture
    table = table_of(rows, y_numbers, looked.kind, class_names, inputs, is_picture, looked.notices)
    suite = Suite(
        name=name,
        title="Methods compared on a trained model",
        data_seeds=tuple(range(parts)),
        standardise=False,
        datasets=(Entry(label="rows", component=RowsOfUser(content=Content(table), parts=parts)),),
        models=(Entry(label="model", component=source_of(model, rows, looked)),),
        explainers=_entries(METHODS if explainers is None else explainers),
        retention=Retention(judges=()),
        sanity=Sanity(data_seeds=(0,), stages="all") if sanity and _has_weights(model) else None,
        limits=Limits(seconds=seconds),
        settling=Settling(draws=0),
    )
    return compute(Request(suite, out=out, jobs=jobs, device=device, fresh=fresh, on_progress=on_progress))


def _has_weights(model: Any) -> bool:
    return isinstance(model, nn.Module) and next(model.parameters(), None) is not None


def _check_parts(parts: int, n: int) -> None:
    if not isinstance(parts, int) or isinstance(parts, bool) or parts < 1:
        raise InputError(f"parts: expected a whole number >= 1, got {parts!r}")
    if n < parts * LEAST_ROWS:
        raise InputError(
            f"X: expected at least {parts * LEAST_ROWS} rows, {LEAST_ROWS} in each of {parts} parts, got {n}: add "
            "rows, or set parts lower"
        )


def _entries(chosen: Sequence[Chosen]) -> tuple[Entry, ...]:
    """The methods with their labels."""
    if isinstance(chosen, str) or not isinstance(chosen, Sequence) or not chosen:
        raise InputError(f"explainers: expected a list of names, tables or Explainers, got {chosen!r}")
    found: dict[str, Entry] = {}
    for one in chosen:
        entry = _entry(one)
        if entry.label in found or entry.label in CONTROLS:
            raise InputError(f"explainers: expected other labels than {entry.label!r}, which is taken: set 'label'")
        found[entry.label] = entry
    return tuple(found.values())


def _entry(one: Chosen) -> Entry:
    if isinstance(one, Explainer):
        return Entry(label=one.name, component=one)
    if isinstance(one, str):
        return Entry(label=one, component=registry.create("explainers", one, {}))
    if not isinstance(one, Mapping) or not isinstance(one.get("name"), str):
        raise InputError(f"explainers: expected a name, a table with a name, or an Explainer, got {one!r}")
    fields = {str(key): value for key, value in one.items() if key not in ("name", "label")}
    label = one.get("label", one["name"])
    if not isinstance(label, str):
        raise InputError(f"explainers: label: expected a text, got {label!r}")
    return Entry(label=label, component=registry.create("explainers", one["name"], fields))
