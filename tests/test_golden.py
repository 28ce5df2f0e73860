"""No component of the package gives other numbers under the same version."""

from __future__ import annotations

import pytest

from tests import golden

GOLDEN = golden.stored()
UPDATE = "run `python -m tests.golden --update`"
EVERYTHING = {name: (versions, make) for name, versions, make in golden.everything()}


@pytest.mark.parametrize("name", EVERYTHING)
def test_numbers_change_with_the_version_only(name):
    versions, make = EVERYTHING[name]
    found = golden.numbers(make)
    if found is None:
        pytest.skip("its files, or its package, are not here")
    assert name in GOLDEN, f"there are no golden numbers of {name}: {UPDATE}"
    entry = GOLDEN[name]
    assert entry["version"] == versions, f"{name}: version {versions}, golden {entry['version']}: {UPDATE}"
    changed = golden.differs(found, entry["numbers"], golden.is_rough(name))
    assert not changed, f"numbers of {name} changed: raise its `version` and {UPDATE}\n{entry['numbers']}\n{found}"


def test_nothing_is_golden_that_is_gone():
    assert set(GOLDEN) <= set(EVERYTHING), UPDATE


def test_a_change_of_a_hundredth_is_seen_and_one_of_a_millionth_is_not():
    assert golden.differs([1.0, 2.0], [1.0, 2.02])
    assert golden.differs([1.0, None], [1.0, 0.0])
    assert golden.differs([1.0], [1.0, 0.0])
    assert golden.differs([0.0, 1e-4], [0.0, 0.0])
    assert not golden.differs([1.0, 2.0], [1.0, 2.000002])
    assert golden.differs([1.0, 2.0], [1.0, 2.2], rough=True)
    assert not golden.differs([1e-7, 2.0], [1e-6, 2.02], rough=True)
