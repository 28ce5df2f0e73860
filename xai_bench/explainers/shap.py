"""shap's explainers: one generic wrapper, and presets of it.

https://shap.readthedocs.io; Lundberg and Lee, arXiv 1705.07874. Only the explained output is computed.

shap's DeepExplainer and GradientExplainer loop over rows in Python. They are handed many rows side by side, as
one row of a wider model that adds up what it says of each: same values, far fewer passes.

Its PermutationExplainer and ExactExplainer lay out the rows of all coalitions at once, (2d + 1) x background x d
numbers. Where these are more than a batch they are handed a masker of ``shap_maskers``, whose rows are made batch by
batch: same rows, same values. ``shap_inside`` takes shap's absolute tolerances away.
"""

from __future__ import annotations

import copy
import math
import re
import warnings
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from xai_bench.errors import InputError
from xai_bench.explainers.base import Clock, LocalExplainer, Needs, Problem, rows_at_once
from xai_bench.explainers.completeness import miss
from xai_bench.explainers.layers import ONCE, as_layers, layer_use, out_of_place
from xai_bench.explainers.shap_maskers import Coalitions, masker_of
from xai_bench.models.folding import fold_spectral

Method = Literal[
    "DeepExplainer",
    "GradientExplainer",
    "KernelExplainer",
    "PermutationExplainer",
    "SamplingExplainer",
    "ExactExplainer",
    "PartitionExplainer",
]
Parameters = dict[str, bool | int | float | str]

BATCH = 8192
SLOTS = 16
"""Rows side by side in GradientExplainer."""
EXACT_INPUTS = 14
"""ExactExplainer evaluates every one of 2^d coalitions."""
TRIED = 16
"""Validation rows, and background rows, on which sums are checked before DeepExplainer is used."""
OFFERED = {
    "KernelExplainer": ("l1_reg",),
    "PermutationExplainer": ("batch_size",),
    "ExactExplainer": ("batch_size",),
    "PartitionExplainer": ("fixed_context", "batch_size"),
}
"""Arguments of the call that ``parameters`` may set."""
DEVICE_BATCH = 2**17
"""Rows of a pass on a CUDA device at the most."""
GRADIENT_BYTES = 64
"""What shap's GradientExplainer takes for each number of its points: twice the point, its pass and its gradient."""


class Shap(LocalExplainer):
    """One of shap's explainers for networks, by the name of its class.

    One that has a name of its own here (``shap_kernel`` is KernelExplainer) has the defaults of its fields.

    Passes of a row: Kernel and Sampling ``samples`` x ``background``, Permutation ``samples`` x (2d + 1) x
    ``background``, Exact 2^d x ``background``.
    """

    name: ClassVar[str] = "shap"
    version: ClassVar[int] = 2
    later: ClassVar[tuple[str, ...]] = ("parameters",)

    method: Method
    background: Annotated[int, Field(ge=1)] = 64
    """Training rows that stand for absent inputs."""
    samples: Annotated[int, Field(ge=1)] = 50
    """Gradient: points a row. Kernel and Sampling: coalitions a row, at least 2d. Permutation: permutations a row.
    Partition: coalitions a row, for every input. Deep and Exact: not used."""
    parameters: Parameters = {}
    """Further arguments of the call, such as ``l1_reg`` of KernelExplainer (shap's default keeps ten inputs only)."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_preset(cls, fields: Any) -> Any:
        if cls is not Shap or not isinstance(fields, dict) or not isinstance(fields.get("method"), str):
            return fields
        for preset in (ShapDeep, ShapGradient, ShapKernel, ShapPermutation):
            if preset.model_fields["method"].default == fields.get("method"):
                return {**{n: f.default for n, f in preset.model_fields.items() if n != "parameters"}, **fields}
        return fields

    @model_validator(mode="after")
    def _known_parameters(self) -> Shap:
        offered = OFFERED.get(self.method, ())
        for name, value in self.parameters.items():
            if name not in offered:
                takes = ", ".join(offered) or "none"
                raise InputError(f"unknown entry {name!r} in 'parameters': {self.method} takes {takes}")
            _check_value(name, value)
        return self

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is None and self.method == "ExactExplainer" and problem.d > EXACT_INPUTS:
            return f"it evaluates every coalition of inputs: {problem.d} inputs are above {EXACT_INPUTS}"
        if reason or self.method != "DeepExplainer":
            return reason
        from xai_bench.explainers.shap_inside import op_handler

        use = layer_use(fold_spectral(copy.deepcopy(problem.fitted)), problem.X_train[:2])
        if use.reused:
            again = ", ".join(use.reused)
            return f"shap's DeepExplainer needs every layer to be used once: {again} is used again: {ONCE}"
        if use.other_outside:
            calls = ", ".join(use.other_outside)
            remedy = as_layers(use.other_outside)
            return f"shap's DeepExplainer sees layers only: the model calls {calls} outside of them{remedy}"
        strange = dict.fromkeys(kind.__name__ for kind in use.leaves if kind.__name__ not in op_handler)
        return f"shap's DeepExplainer does not know {', '.join(strange)}" if strange else _incomplete(problem)

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            import shap  # noqa: F401  (loading it is set-up)

            background = problem.background(self.background)
        classes = torch.zeros(len(X), dtype=torch.int64, device=X.device) if target is None else target
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if self.method == "DeepExplainer":
                return deep_values(model, background, X, classes, memory=problem.memory, clock=problem.clock)
            if self.method == "GradientExplainer":
                return gradient_values(
                    *(model, background, X, classes, self.samples, problem.generator),
                    memory=problem.memory,
                    clock=problem.clock,
                )
            return self._model_free(model, background, X, classes, problem)

    def _model_free(
        self, model: nn.Module, background: Tensor, X: Tensor, classes: Tensor, problem: Problem
    ) -> NDArray[np.float64]:
        values = np.empty(tuple(X.shape))
        for chosen in classes.unique().tolist():
            rows = (classes == chosen).cpu().numpy()
            with problem.clock.setting_up():
                explain = self._explainer(model, chosen, background, problem)
            values[rows] = np.asarray(explain(X.detach().cpu().numpy()[rows]))
        return values

    def _explainer(self, model: nn.Module, chosen: int, background: Tensor, problem: Problem) -> Any:
        """A function from (n, d) to the SHAP values (n, d) of the output ``chosen``."""
        import shap

        from xai_bench.explainers import shap_inside

        reference, d = background.cpu().numpy(), background.shape[1]
        at_once = rows_at_once(BATCH, d, problem.memory)

        kernel = self.method in ("KernelExplainer", "SamplingExplainer")
        # A strength of the lasso that is asked for is in units of the outputs.
        scale = shap_inside.OUTPUT_SCALE if kernel and not self.parameters.get("l1_reg") else 1.0

        def predict(X: NDArray | Coalitions) -> NDArray:
            outputs = []
            with torch.no_grad():
                for start in range(0, len(X), at_once):
                    rows = torch.as_tensor(X[start : start + at_once], dtype=background.dtype, device=background.device)
                    outputs.append(model(rows)[:, chosen])
                return torch.cat(outputs).cpu().numpy().astype(np.float64) * scale

        if kernel:
            cls = shap_inside.Kernel if self.method == "KernelExplainer" else shap_inside.Sampling
            sampled = cls(predict, reference)
            samples = max(self.samples, 2 * d)  # with fewer the regression has no unique solution
            # shap's default keeps ten inputs only: all inputs are to be ranked.
            further = {"l1_reg": False, **self.parameters}
            return lambda X: sampled.shap_values(X, nsamples=samples, silent=True, **further) / scale
        if self.method == "PartitionExplainer":
            explainer = shap.PartitionExplainer(predict, shap_inside.Partition(reference))
            evaluations = self.samples * d
        elif self.method == "ExactExplainer":
            explainer, evaluations = shap.ExactExplainer(predict, masker_of(reference, 2**d, at_once)), 2**d
        else:
            seed, coalitions = int(problem.generator.integers(2**31)), 2 * d + 1
            explainer = shap.PermutationExplainer(predict, masker_of(reference, coalitions, at_once), seed=seed)
            evaluations = self.samples * coalitions
        batched = {"batch_size": max(at_once // len(reference), 1), **self.parameters}
        return lambda X: explainer(X, max_evals=evaluations, silent=True, **batched).values


def _check_value(name: str, value: bool | int | float | str) -> None:
    """Raise InputError unless shap can use the value."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if name == "l1_reg":
        words = isinstance(value, str) and re.fullmatch(r"auto|aic|bic|num_features\([1-9]\d*\)", value) is not None
        right, expected = value is False or words or number >= 0, "num_features(N), aic, bic or a number >= 0"
    elif name == "batch_size":
        right, expected = isinstance(value, int) and number >= 1, "a whole number >= 1"
    else:
        right, expected = number in (0, 1), "0 or 1"
    if not right:
        raise InputError(f"parameters.{name}: expected {expected}, got {value!r}")


class SideBySide(nn.Module):
    """``model`` on ``slots`` rows at once, which are one row of (slots * d) inputs here.

    Its only output, (b, 1), is the sum over slots of the logits ``classes`` (slots,). The gradient, and every
    DeepLIFT multiplier, of a slot's inputs is that of its own row.
    """

    def __init__(self, model: nn.Module, slots: int) -> None:
        super().__init__()
        self.model, self.slots = model, slots
        self.classes = torch.zeros(slots, dtype=torch.int64)

    def forward(self, x: Tensor) -> Tensor:
        """(b, slots * d) to (b, 1)."""
        # Row b of slot s stays at b * slots + s: shap tells rows from background by halving the first axis.
        outputs = self.model(x.reshape(len(x) * self.slots, -1))
        return outputs.gather(1, self.classes.repeat(len(x))[:, None]).view(-1, self.slots).sum(1, keepdim=True)


def in_slots(X: Tensor, classes: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """(chunks, slots * d) rows and (chunks, slots) classes; the last row is repeated to fill the last chunk."""
    chunks = math.ceil(len(X) / slots)
    index = torch.arange(chunks * slots, device=X.device).clamp(max=len(X) - 1)
    return X[index].reshape(chunks, -1), classes[index].reshape(chunks, slots)


def deep_values(
    model: nn.Module,
    background: Tensor,
    X: Tensor,
    classes: Tensor,
    slots: int | None = None,
    memory: int | None = None,
    clock: Clock | None = None,
) -> NDArray[np.float64]:
    """(n, d): what ``shap.DeepExplainer(model, background).shap_values(X)`` says of each row's own class.

    Raises
    ------
    ValueError
        If the values of a row do not add up to its output minus the mean output on the background.
    """
    import shap

    slots = slots or max(rows_at_once(BATCH, X.shape[1], memory) // (2 * len(background)), 1)
    slots = min(slots, len(X))
    with (clock or Clock()).setting_up():
        wide = SideBySide(out_of_place(model), slots).eval()
        wide.classes = wide.classes.to(X.device)
        explainer = shap.DeepExplainer(wide, background.repeat(1, slots))
    found = []
    for row, chosen in zip(*in_slots(X, classes, slots), strict=True):
        wide.classes = chosen
        # Additivity is checked below, row by row: shap would check the sum over slots only.
        values = explainer.shap_values(row[None], check_additivity=False)
        found.append(np.asarray(values, dtype=np.float64).reshape(slots, -1))
    values = np.concatenate(found)[: len(X)]
    with torch.no_grad():
        outputs = model(X).gather(1, classes[:, None])[:, 0].double()
        expected = model(background).double().mean(0)[classes]
    total = (outputs - expected).cpu().numpy()
    missed = miss(values, total, outputs.cpu().numpy())
    if missed is not None:
        raise ValueError(
            f"shap's DeepExplainer: {missed}: the model holds an operation that shap does not handle; use shap_gradient"
        )
    return values


def _incomplete(problem: Problem) -> str | None:
    """Why the values of some rows do not add up, or None."""
    model = fold_spectral(copy.deepcopy(problem.fitted)).requires_grad_(False)
    X, y = problem.X_valid[:TRIED], problem.y_valid[:TRIED]
    classes = y if problem.kind == "classification" else torch.zeros(len(X), dtype=torch.int64, device=X.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            deep_values(model, problem.X_train[:TRIED], X, classes, memory=problem.memory)
    except ValueError as error:
        return str(error)
    return None


def gradient_values(
    model: nn.Module,
    background: Tensor,
    X: Tensor,
    classes: Tensor,
    samples: int,
    generator: np.random.Generator,
    slots: int = SLOTS,
    memory: int | None = None,
    clock: Clock | None = None,
) -> NDArray[np.float64]:
    """(n, d): ``shap.GradientExplainer(model, background).shap_values(X)`` of each row's own class.

    Rows side by side share their draws of the point along the way; their background rows are independent. With
    one slot it is the plain call. Where ``memory`` is short they are fewer, and other points are drawn.
    """
    import shap

    if memory is not None:
        of_a_slot = GRADIENT_BYTES * max(samples, len(background)) * X.shape[1]
        slots = max(min(slots, memory // of_a_slot), 1)
    slots, n = min(slots, len(X)), len(background)
    with (clock or Clock()).setting_up():
        order = [generator.permutation(n) if slots > 1 else np.arange(n) for _ in range(slots)]
    if X.device.type == "cuda":
        return gradients_together(model, background, X, classes, samples, generator, order, memory)
    with (clock or Clock()).setting_up():
        wide = SideBySide(model, slots).eval()
        wide.classes = wide.classes.to(X.device)
        explainer = shap.GradientExplainer(wide, torch.cat([background[o] for o in order], 1), batch_size=samples)
    found = []
    for row, chosen in zip(*in_slots(X, classes, slots), strict=True):
        wide.classes = chosen
        values = explainer.shap_values(row[None], nsamples=samples, rseed=int(generator.integers(2**31)))
        found.append(np.asarray(values, dtype=np.float64).reshape(slots, -1))
    return np.concatenate(found)[: len(X)]


def gradients_together(
    model: nn.Module,
    background: Tensor,
    X: Tensor,
    classes: Tensor,
    samples: int,
    generator: np.random.Generator,
    order: list[NDArray[np.intp]],
    memory: int | None = None,
) -> NDArray[np.float64]:
    """(n, d): what shap's GradientExplainer says of rows in ``len(order)`` slots, from its draws, many chunks a pass.

    shap makes point after point, each with several calls of the device, and passes one chunk at a time: a CUDA device
    would mostly wait.

    Parameters
    ----------
    order : the background rows of every slot, (n_background,) each
    """
    slots, d = len(order), X.shape[1]
    rows, targets = in_slots(X, classes, slots)
    rows = rows.view(-1, 1, slots, d)
    behind = background[torch.from_numpy(np.stack(order)).to(X.device)]
    draws = [shap_draws(int(generator.integers(2**31)), samples, len(background)) for _ in rows]
    chosen = torch.from_numpy(np.stack([which for which, _ in draws])).to(X.device)
    share = torch.from_numpy(np.stack([share for _, share in draws]))[:, :, None, None]
    at_once = max(rows_at_once(DEVICE_BATCH, d, memory) // (samples * slots), 1)
    found = []
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        near = share[part].to(X.device, X.dtype)
        rest = (1 - share[part]).to(X.device, X.dtype)
        references = behind[:, chosen[part]].permute(1, 2, 0, 3)
        points = (near * rows[part] + rest * references).reshape(-1, d).requires_grad_(True)
        of_points = targets[part, None].expand(-1, samples, -1).reshape(-1, 1)
        (gradient,) = torch.autograd.grad(model(points).gather(1, of_points).sum(), points)
        moved = (rows[part] - references).double()
        found.append((gradient.reshape(moved.shape).double() * moved).mean(1).reshape(-1, d))
    return torch.cat(found)[: len(X)].cpu().numpy()


def shap_draws(seed: int, samples: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(samples,) background rows of ``n`` and (samples,) shares of the way, as GradientExplainer draws them."""
    state = np.random.RandomState(seed)
    drawn = [(state.choice(n), state.uniform()) for _ in range(samples)]
    return np.array([which for which, _ in drawn]), np.array([share for _, share in drawn])


class ShapDeep(Shap):
    """DeepSHAP: DeepLIFT's rules averaged over background rows."""

    name: ClassVar[str] = "shap_deep"
    completeness: ClassVar[bool] = True
    method: Literal["DeepExplainer"] = "DeepExplainer"


class ShapGradient(Shap):
    """Expected gradients: integrated gradients with background rows as baselines (Erion et al. 2021)."""

    name: ClassVar[str] = "shap_gradient"
    method: Literal["GradientExplainer"] = "GradientExplainer"


class ShapKernel(Shap):
    """Kernel SHAP: a weighted regression on coalitions of inputs; no gradients."""

    name: ClassVar[str] = "shap_kernel"
    needs: ClassVar[Needs] = "predict"
    completeness: ClassVar[bool] = True
    method: Literal["KernelExplainer"] = "KernelExplainer"
    rows: Annotated[int, Field(ge=1)] = 32
    background: Annotated[int, Field(ge=1)] = 16
    samples: Annotated[int, Field(ge=1)] = 256
    max_inputs: Annotated[int, Field(ge=1)] | None = 512
    """One regression a row: its time grows as d^3, and its memory as d^2."""


class ShapPermutation(Shap):
    """Shapley values from whole permutations of the inputs, forwards and backwards; no gradients."""

    name: ClassVar[str] = "shap_permutation"
    needs: ClassVar[Needs] = "predict"
    completeness: ClassVar[bool] = True
    method: Literal["PermutationExplainer"] = "PermutationExplainer"
    rows: Annotated[int, Field(ge=1)] = 32
    background: Annotated[int, Field(ge=1)] = 16
    samples: Annotated[int, Field(ge=1)] = 4
