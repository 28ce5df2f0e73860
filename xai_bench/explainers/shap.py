"""shap's explainers: one generic wrapper, and presets of it.

https://shap.readthedocs.io; Lundberg and Lee, arXiv 1705.07874. Only the explained output is computed: rows are
grouped by their class, and a dense layer of fixed weights that picks the class's logit follows the model.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xai_bench.explainers.base import LocalExplainer, Needs, Problem

Method = Literal["DeepExplainer", "GradientExplainer", "KernelExplainer", "PermutationExplainer"]
BATCH = 8192


class Shap(LocalExplainer):
    """One of shap's explainers for networks, by the name of its class."""

    name: ClassVar[str] = "shap"

    method: Method
    background: Annotated[int, Field(ge=1)] = 64
    """Training rows that stand for absent inputs."""
    samples: Annotated[int, Field(ge=1)] = 50
    """Gradient: points a row. Kernel: coalitions a row. Permutation: permutations a row. Deep: not used."""

    def unsupported(self, problem: Problem) -> str | None:
        reason = super().unsupported(problem)
        if reason or self.method != "DeepExplainer":
            return reason
        from shap.explainers._deep.deep_pytorch import op_handler

        for layer in problem.fitted.modules():
            kind = type(layer).__name__
            if next(layer.children(), None) is None and kind not in op_handler and kind != "SpectralLinear":
                return f"shap's DeepExplainer does not know {kind}"
        return None

    def attribute(self, model: nn.Module, X: Tensor, target: Tensor | None, problem: Problem) -> NDArray:
        with problem.clock.setting_up():
            background = problem.background(self.background)
        values = np.empty(tuple(X.shape))
        classes = torch.zeros(len(X), dtype=torch.int64, device=X.device) if target is None else target
        for chosen in classes.unique().tolist():
            rows = classes == chosen
            with problem.clock.setting_up():
                explain = self._explainer(logit(model, chosen, problem.n_outputs, X), background)
            values[rows.cpu().numpy()] = explain(X[rows]).reshape(int(rows.sum()), -1)
        return values

    def _explainer(self, model: nn.Module, background: Tensor) -> Any:
        """A function from (n, d) to SHAP values (n, d) of the only output of ``model``."""
        import shap

        if self.method == "DeepExplainer":
            deep = shap.DeepExplainer(model, background)
            return lambda X: np.asarray(deep.shap_values(X, check_additivity=False))
        if self.method == "GradientExplainer":
            gradient = shap.GradientExplainer(model, background, batch_size=self.samples)
            seed = int(np.random.randint(2**31))
            return lambda X: np.asarray(gradient.shap_values(X, nsamples=self.samples, rseed=seed))
        device = background.device

        def predict(X: NDArray) -> NDArray:
            with torch.no_grad():
                parts = torch.as_tensor(X, dtype=background.dtype, device=device).split(BATCH)
                return torch.cat([model(part) for part in parts])[:, 0].cpu().numpy().astype(np.float64)

        reference = background.cpu().numpy().astype(np.float64)
        if self.method == "KernelExplainer":
            kernel = shap.KernelExplainer(predict, reference)
            # shap's default keeps ten inputs only: all inputs are to be ranked.
            return lambda X: np.asarray(
                kernel.shap_values(_float64(X), nsamples=self.samples, l1_reg=0, silent=True)
            )
        masker = shap.maskers.Independent(reference, max_samples=len(reference))
        permutation = shap.PermutationExplainer(predict, masker, seed=int(np.random.randint(2**31)))
        evaluations = self.samples * (2 * background.shape[1] + 1)
        return lambda X: permutation(_float64(X), max_evals=evaluations, silent=True).values


def _float64(X: Tensor) -> NDArray[np.float64]:
    return X.detach().cpu().numpy().astype(np.float64)


def logit(model: nn.Module, chosen: int, n_outputs: int, like: Tensor) -> nn.Module:
    """``model`` with its output ``chosen`` only, (n, 1), by a Linear layer, which every library knows."""
    if n_outputs == 1:
        return model
    pick = nn.Linear(n_outputs, 1, bias=False, device=like.device, dtype=like.dtype)
    with torch.no_grad():
        pick.weight.zero_()
        pick.weight[0, chosen] = 1
    pick.weight.requires_grad_(False)
    return nn.Sequential(model, pick).eval()


class ShapDeep(Shap):
    """DeepSHAP: DeepLIFT's rules averaged over background rows."""

    name: ClassVar[str] = "shap_deep"
    method: Literal["DeepExplainer"] = "DeepExplainer"
    rows: Annotated[int, Field(ge=1)] = 128


class ShapGradient(Shap):
    """Expected gradients: integrated gradients with background rows as baselines (Erion et al. 2021)."""

    name: ClassVar[str] = "shap_gradient"
    method: Literal["GradientExplainer"] = "GradientExplainer"
    rows: Annotated[int, Field(ge=1)] = 128


class ShapKernel(Shap):
    """Kernel SHAP: a weighted regression on coalitions of inputs; no gradients."""

    name: ClassVar[str] = "shap_kernel"
    needs: ClassVar[Needs] = "predict"
    method: Literal["KernelExplainer"] = "KernelExplainer"
    rows: Annotated[int, Field(ge=1)] = 32
    background: Annotated[int, Field(ge=1)] = 16
    samples: Annotated[int, Field(ge=1)] = 256


class ShapPermutation(Shap):
    """Shapley values from whole permutations of the inputs, forwards and backwards; no gradients."""

    name: ClassVar[str] = "shap_permutation"
    needs: ClassVar[Needs] = "predict"
    method: Literal["PermutationExplainer"] = "PermutationExplainer"
    rows: Annotated[int, Field(ge=1)] = 32
    background: Annotated[int, Field(ge=1)] = 16
    samples: Annotated[int, Field(ge=1)] = 4
