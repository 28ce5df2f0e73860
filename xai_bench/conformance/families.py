"""The conformance suites by family: ``xai_bench.check(component)``, and pairs for pytest.

One test for every check of every component::

    @pytest.mark.parametrize(("check", "component"), cases(MyExplainer(), my_metric), ids=case_name)
    def test_contract(check, component):
        check(component)
"""

from __future__ import annotations

from typing import Any

from xai_bench import registry
from xai_bench.conformance import architectures, data_sources, explainers, metrics
from xai_bench.conformance.base import Check, CheckResult, check_name, report_of, run_checks
from xai_bench.errors import InputError, unknown

CHECKS: dict[str, tuple[Check, ...]] = {
    "datasets": data_sources.CHECKS,
    "models": architectures.CHECKS,
    "explainers": explainers.CHECKS,
    "metrics": metrics.CHECKS,
}
"""The checks of each family, in order."""


def check(component: Any) -> None:
    """Run every check of its family on a component: an object, or a class to be built with its default fields.

    Raises
    ------
    CheckFailed
        At the first check that fails.
    InputError
        If it is no component.
    """
    run_checks(checks_of(component), component)


def check_report(component: Any) -> list[CheckResult]:
    """(check, passed | failed | skipped, reason) of every check of its family, in order."""
    return report_of(checks_of(component), component)


def checks_of(component: Any) -> tuple[Check, ...]:
    """The checks of a component's family.

    Raises
    ------
    InputError
        If it is no component.
    """
    family = getattr(component, "family", None)
    if family not in CHECKS:
        raise InputError(
            f"cannot check {component!r}: expected a data source, an architecture, an explainer or a metric"
        )
    return CHECKS[family]


def cases(*components: Any) -> list[tuple[Check, Any]]:
    """Every check of every component, for ``pytest.mark.parametrize``."""
    return [(check, component) for component in components for check in checks_of(component)]


def case_name(value: Any) -> str:
    """The id of a check or a component in pytest."""
    return str(getattr(value, "name", None) or check_name(value))


def named(name: str) -> Any:
    """The component of that name with its default fields, whatever its family; ``datasets/xor`` names the family too.

    Raises
    ------
    InputError
        If there is none, if several families have one, or if a field of it has no default.
    """
    family, slash, rest = name.partition("/")
    if slash and family in registry.FAMILIES:
        return _created(family, rest)
    short = name.partition(":")[0]
    found = [family for family in registry.FAMILIES if short in registry.names(family)]
    if not found:
        everything = [known for family in registry.FAMILIES for known in registry.names(family)]
        raise unknown("component", name, everything)
    if len(found) > 1:
        choices = " or ".join(f"{family}/{name}" for family in found)
        raise InputError(f"{name!r} stands for several components: expected {choices}")
    return _created(found[0], name)


def _created(family: str, name: str) -> Any:
    return registry.get(family, name) if family == "metrics" else registry.create(family, name, {})
