"""captum's attribution methods: one generic wrapper, and presets of it that follow gradients.

https://captum.ai; Kokhlikyan et al., arXiv 2009.07896. Presets that propagate layer by layer are in ``layerwise``,
those that perturb rows in ``perturbation``.
"""

from __future__ import annotations

import warnings
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from xai_bench.explainers import captum_arguments
from xai_bench.explainers.base import BaselineName, LocalExplainer, Problem, rows_at_once
from xai_bench.explainers.captum_arguments import MANY_BASELINES, Parameters, core_of
from xai_bench.models.folding import fold_spectral

BATCH = 4096
"""Rows in one pass unless a suite says otherwise."""
ROW_BY_ROW = ("KernelShap", "Lime")
"""Methods that perturb one row at a time, the others all of them."""
LAYERWISE = ("DeepLift", "DeepLiftShap", "LRP", "GuidedBackprop", "Deconvolution")
"""Methods that see modules only, each once."""
TOGETHER = ("FeaturePermutation",)
"""Methods that compare the explained rows with one another: all of them are handed over at once."""
SAME_DRAWS = ("ShapleyValueSampling",)
"""Methods that draw what all rows share: every batch starts from the same random state."""
ORDERED_INPUTS = 7
"""ShapleyValues evaluates every one of d! orders."""


class Captum(LocalExplainer):
    """Any attribution method of captum that needs a model and rows only, by the name of its class.

    A method that has a name of its own here (``integrated_gradients`` is IntegratedGradients) is that one: with the
    same fields, whose defaults are its own, it gives the same numbers.

    Rows go through the network in large batches, of at most ``internal_batch_size`` rows, and fewer where the inputs
    are many, or the memory of a suite is small (``base.rows_at_once``). What a row gets does not depend on the rows
    beside it, except in FeaturePermutation, which shuffles all explained rows. A NoiseTunnel around a method that
    propagates layer by layer draws other noise in other batches, and so does any random method where the memory is
    short.
    """

    name: ClassVar[str] = "captum"
    version: ClassVar[int] = 2
    later: ClassVar[tuple[str, ...]] = ("background",)

    method: str
    """Class in captum.attr, such as ``GuidedBackprop``, or ``NoiseTunnel(...)`` around one."""
    baseline: BaselineName = "mean"
    """What an input is compared with, where the method asks for one row: the training mean, or 0."""
    background: Annotated[int, Field(ge=2)] = 64
    """Training rows to compare with, where the method asks for many (DeepLiftShap, GradientShap)."""
    parameters: Parameters = {}
    """Further arguments of the method's ``attribute``."""
    internal_batch_size: Annotated[int, Field(ge=1)] = BATCH
    """Rows in one pass of the network at the most."""

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_preset(cls, fields: Any) -> Any:
        if cls is not Captum or not isinstance(fields, dict) or not isinstance(fields.get("method"), str):
            return fields
        preset = presets().get(fields["method"])
        if preset is None:
            return fields
        shared = [name for name in Captum.model_fields if name not in ("method", "parameters")]
        return {**{name: preset.model_fields[name].default for name in shared}, **fields}

    @model_validator(mode="after")
    def _known_names(self) -> Captum:
        # The presets must not load captum before they run.
        if self.method != type(self).model_fields["method"].default:
            captum_arguments.check_method(self.method)
        if self.parameters:
            self._given()
            self._preset()
        return self

    def _given(self) -> Parameters:
        """``parameters``, checked; InputError if one is not known or has a value that cannot be used."""
        fields = frozenset(set(type(self).model_fields) - set(Captum.model_fields))
        return captum_arguments.checked(self.method, self.parameters, fields, self.name)

    def _preset(self) -> Captum | None:
        """The method under its own name here, or None: it is that one already, or there is none."""
        preset = presets().get(self.method) if type(self) is Captum else None
        if preset is None:
            return None
        shared: dict[str, Any] = {name: getattr(self, name) for name in Captum.model_fields if name != "parameters"}
        own: dict[str, Any] = {name: value for name, value in self.parameters.items() if name in preset.model_fields}
        rest = {name: value for name, value in self.parameters.items() if name not in own}
        return preset(**shared, **own, parameters=rest)

    def _inside(self) -> Captum | None:
        """The method inside a NoiseTunnel under its own name here, or None."""
        core = core_of(self.method)
        inside = presets().get(core) if type(self) is Captum and core != self.method else None
        if inside is None:
            return None
        own: dict[str, Any] = {name: value for name, value in self.parameters.items() if name in inside.model_fields}
        return inside(baseline=self.baseline, background=self.background, target=self.target, **own)

    def arguments(self, X: Tensor) -> dict[str, Any]:
        """Keyword arguments of the method's ``attribute`` on the rows ``X`` (n, ...) that are not ``GIVEN``."""
        inside = self._inside()
        return {} if inside is None else inside.arguments(X)

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason is not None:
            return reason
        for named in (self._preset(), self._inside()):
            if named is not None:
                return named.unsupported(problem)
        core = core_of(self.method)
        if core == "ShapleyValues" and problem.d > ORDERED_INPUTS:
            return f"it evaluates every order of the inputs: {problem.d} inputs are above {ORDERED_INPUTS}"
        if core in TOGETHER and len(problem.X_valid) < 2:
            return "it shuffles inputs over rows: it needs two validation rows"
        return None

    def rows_apart(self) -> bool:
        return core_of(self.method) not in TOGETHER

    def prepared(self, model: nn.Module) -> nn.Module:
        """The model as the method wants it, with the same outputs; ``model`` is a copy already."""
        inside = self._inside()
        return fold_spectral(model) if inside is None else inside.prepared(model)

    def built(self, model: nn.Module, problem: Problem) -> Any:
        """captum's object around a prepared model."""
        import captum.attr

        from xai_bench.explainers.captum_inside import method_class

        core = core_of(self.method)
        found = method_class(core)(model)
        if hasattr(found, "gradient_func"):  # captum leaves it to be replaced
            found.gradient_func = gradients_of_sum
        return found if core == self.method else captum.attr.NoiseTunnel(found)

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> Tensor:
        if (preset := self._preset()) is not None:
            return preset.attribute(model, X, target, problem)
        core, state = core_of(self.method), torch.get_rng_state()
        with problem.clock.setting_up():
            model = self.prepared(model)
            keywords = {**self.arguments(X), **self._given(), **self._baselines(X, problem)}
            limit = rows_at_once(self.internal_batch_size, problem.d, problem.memory)
            chunk = self._rows_together(keywords, len(X), problem)
            if core not in LAYERWISE:
                model = InBatches(model, limit)
            known = captum_arguments.arguments(self.method)
            if "internal_batch_size" in known:
                keywords["internal_batch_size"] = limit
            if "perturbations_per_eval" in known:
                most = limit if core in ROW_BY_ROW else min(limit // chunk, problem.d)
                keywords.setdefault("perturbations_per_eval", max(most, 1))
            if "return_input_shape" in known:
                keywords["return_input_shape"] = False  # captum would loop over the inputs of every row
        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # announcements of hooks that are taken away again
            for start in range(0, len(X), chunk):
                if self.method in SAME_DRAWS:
                    torch.set_rng_state(state)
                rows = X[start : start + chunk].detach().requires_grad_(True)
                classes = 0 if target is None else target[start : start + chunk]
                values = self.built(model, problem).attribute(rows, target=classes, **keywords)
                # Some come with their graph, which would keep every batch in memory.
                found.append(values.detach().reshape(rows.shape))
        return torch.cat(found) if len(found) > 1 else found[0]

    def _baselines(self, X: Tensor, problem: Problem) -> dict[str, Tensor]:
        if "baselines" not in captum_arguments.arguments(self.method):
            return {}
        if self.method in MANY_BASELINES:
            return {"baselines": problem.background(self.background)}
        mean = problem.X_train.mean(0, keepdim=True).reshape(1, *X.shape[1:])
        return {"baselines": mean if self.baseline == "mean" else torch.zeros_like(mean)}

    def _rows_together(self, keywords: dict[str, Any], n: int, problem: Problem) -> int:
        """Rows that captum is handed at once; random methods get as many whatever ``internal_batch_size``."""
        core = core_of(self.method)
        if core in TOGETHER:
            return n
        random = core == "GradientShap" or core != self.method
        most = BATCH if random and core not in LAYERWISE else self.internal_batch_size
        return min(max(rows_at_once(most, problem.d, problem.memory) // self._passes(keywords), 1), n)

    def _passes(self, keywords: dict[str, Any]) -> int:
        """Rows that go through the network at once for every explained row, where captum does not bound them."""
        defaults = {name: p.default for name, p in captum_arguments.arguments(self.method).items()}
        given, core = {**defaults, **keywords}, core_of(self.method)
        if core == "GradientShap":
            return int(given["n_samples"])
        pairs = {"DeepLift": 2, "DeepLiftShap": 2 * self.background}.get(core, 1)
        return pairs * (1 if core == self.method else int(given["nt_samples"]))


def presets() -> dict[str, type[Captum]]:
    """captum's name of a method to the class that has a name of its own here."""
    from xai_bench.explainers import layerwise, perturbation

    own: tuple[type[Captum], ...] = (Saliency, SmoothGrad, InputXGradient, IntegratedGradients, GradientShap)
    return {c.model_fields["method"].default: c for c in (*own, *layerwise.PRESETS, *perturbation.PRESETS)}


class InBatches(nn.Module):
    """``model``, at most ``limit`` rows at a time."""

    def __init__(self, model: nn.Module, limit: int) -> None:
        super().__init__()
        self.model, self.limit = model, limit

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) to (n, n_outputs)."""
        if len(x) <= self.limit:
            return self.model(x)
        return torch.cat([self.model(part) for part in x.split(self.limit)])


class Saliency(Captum):
    """Absolute gradient of the output (Simonyan et al., arXiv 1312.6034)."""

    name: ClassVar[str] = "saliency"
    method: Literal["Saliency"] = "Saliency"


class SmoothGrad(Captum):
    """Gradient averaged over noisy copies of a row (Smilkov et al., arXiv 1706.03825): NoiseTunnel over Saliency.

    As in the paper the average is over signed gradients, and the standard deviation of the noise a share of the range
    of a row's inputs (here of its mean over rows).
    """

    name: ClassVar[str] = "smoothgrad"
    method: Literal["NoiseTunnel(Saliency)"] = "NoiseTunnel(Saliency)"
    nt_samples: Annotated[int, Field(ge=1)] = 50
    """Noisy copies of every row; the paper sees little change beyond 50."""
    noise: Annotated[float, Field(ge=0)] = 0.15
    """Standard deviation, as a share of the range; the paper recommends 0.1 to 0.2."""

    def arguments(self, X: Tensor) -> dict[str, Any]:
        spread = float((X.amax(1) - X.amin(1)).mean())
        return {"nt_samples": self.nt_samples, "stdevs": self.noise * spread, "abs": False}


class InputXGradient(Captum):
    """Input times gradient (Shrikumar et al., arXiv 1605.01713)."""

    name: ClassVar[str] = "input_x_gradient"
    method: Literal["InputXGradient"] = "InputXGradient"


class IntegratedGradients(Captum):
    """Gradients integrated along the line from the baseline (Sundararajan et al., arXiv 1703.01365)."""

    name: ClassVar[str] = "integrated_gradients"
    method: Literal["IntegratedGradients"] = "IntegratedGradients"
    n_steps: Annotated[int, Field(ge=1)] = 32
    """Points of the Gauss-Legendre rule along the way."""

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_steps": self.n_steps}


class GradientShap(Captum):
    """Expected gradients, captum's way: random points between a row and random background rows.

    Erion et al. (2021); Lundberg and Lee, arXiv 1705.07874. The same quantity as ``shap_gradient``.
    """

    name: ClassVar[str] = "gradient_shap"
    method: Literal["GradientShap"] = "GradientShap"
    n_samples: Annotated[int, Field(ge=1)] = 50
    """Points a row, each with a background row drawn anew."""

    def arguments(self, X: Tensor) -> dict[str, Any]:
        return {"n_samples": self.n_samples}


def gradients_of_sum(
    forward_fn: Any, inputs: tuple[Tensor, ...], target_ind: Any = None, additional_forward_args: Any = None
) -> tuple[Tensor, ...]:
    """What captum's ``compute_gradients`` returns, by the sum of the outputs; captum makes a list of every row's."""
    from xai_bench.explainers.captum_inside import run_forward

    with torch.enable_grad():
        outputs = run_forward(forward_fn, inputs, target_ind, additional_forward_args)
        return torch.autograd.grad(outputs.sum(), inputs)
