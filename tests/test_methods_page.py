"""``docs/methods.md`` is what the package declares today."""

from __future__ import annotations

from benchmarks import methods_page
from xai_bench import registry


def test_the_page_is_that_of_today():
    found = methods_page.PAGE.read_text(encoding="utf-8")
    assert found == methods_page.page(), "run `python -m benchmarks.methods_page`"
    assert all(f"| `{name}` |" in found for name in registry.names("explainers"))


def test_sources_packages_and_tests_are_found():
    source, packages = methods_page.source, methods_page.packages

    def of(name):
        return registry.get("explainers", name)

    assert source(of("stg")) == "Yamada, Lindenbaum, Negahban and Kluger, ICML 2020, arXiv 1810.04247"
    assert source(of("lrp")).startswith("Bach et al., PLOS ONE 2015")
    assert source(of("xgboost_gain")) == "Chen and Guestrin, KDD 2016, arXiv 1603.02754"  # of the module
    assert source(of("f_test")) == ""
    assert packages(of("tree_shap")) == ["scikit-learn", "shap"]
    assert packages(of("random_forest")) == ["scikit-learn"]
    assert packages(of("saliency")) == ["captum"]
    assert packages(of("stg")) == []
    assert methods_page.test_of(of("stg")) == "test_methods.py"


def test_what_a_method_asks_for_is_said():
    known = methods_page.versions()
    assert list(methods_page.cells("ft_attention", known))[4] == "the attention of an FT-Transformer"
    assert list(methods_page.cells("permutation_importance", known))[4] == "the outputs of a network"


def test_every_package_has_a_tested_version():
    known = methods_page.versions()
    extras = {"hidimstat", "sage-importance"}
    assert set(methods_page.PACKAGES.values()) - extras <= set(known)
