"""What a report says of retention: gains in points, shares over all draws, curves, how many draws there are."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.reports import GAP, build, gained, of_dataset, pages, rows, section
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import of_section
from xai_bench.report.sections.cost import Cost
from xai_bench.report.sections.retained import Retained, ticks
from xai_bench.report.sections.scores import Scores
from xai_bench.statistics import corrected_interval, interval, ratio_of_sums

UNCLEAR = {0: 0.04, 1: -0.03, 2: 0.02, 3: -0.01, 4: 0.01}
"""What all inputs gain over random ones, by data seed: its interval includes 0."""
FIVE = tuple(range(5))


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return Frames(build(tmp_path_factory.mktemp("five"), seeds=FIVE))


def scores(frames: Frames) -> dict[str, str]:
    return rows(of_section(Scores(frames, "toy"))[0])


def test_gains_are_shown_in_points(five):
    found = interval([gained("spectral", seed) for seed in FIVE])
    shown = f"{100 * found.mean:.1f} <small>[{100 * found.low:.1f}, {100 * found.high:.1f}]</small>"
    assert scores(five)["spectral"].count(shown) == 2  # retrained, masked


def test_bars_of_gains_are_full_at_what_all_inputs_gain(five):
    for name in ("spectral", "column_norm"):
        mean = np.mean([gained(name, seed) for seed in FIVE])
        assert f"--b:{min(mean / GAP, 1):.3f}" in scores(five)[name]


def test_the_share_is_of_all_draws(five):
    share = ratio_of_sums([gained("column_norm", seed) for seed in FIVE], [GAP] * 5)
    assert f"{share.mean:.3f} <small>[{share.low:.3f}, {share.high:.3f}]</small>" in scores(five)["column_norm"]


def test_no_draw_is_left_out_because_little_can_be_gained(tmp_path):
    frame = Frames(build(tmp_path, seeds=tuple(UNCLEAR), gap=UNCLEAR.__getitem__)).retention
    (gain,) = frame.query("explainer == 'spectral' and metric == 'retention_retrained_gain'").to_dict("records")
    (share,) = frame.query("explainer == 'spectral' and metric == 'retention_retrained_share'").to_dict("records")
    assert (gain["n"], share["n"]) == (5, 5)
    gains = [gained("spectral", seed) for seed in UNCLEAR]
    assert gain["mean"] == pytest.approx(np.mean(gains))
    assert share["mean"] == pytest.approx(sum(gains) / sum(UNCLEAR.values()))
    assert np.isnan([share["low"], share["high"]]).all()


def test_a_share_of_nothing_is_not_shown(tmp_path):
    frames = Frames(build(tmp_path, gap=lambda seed: -0.1))
    assert not frames.retention["metric"].str.endswith("_share").any()


def test_folds_and_trainings_of_a_draw_are_averaged_before_the_ratio(tmp_path):
    """Fold 1 of data seed 0 is missing: its other fold stands for the seed."""
    results = build(tmp_path, seeds=(0, 1), folds=2, trainings=2, undefined=((0, 1),), gap=lambda seed: 0.1 + seed)
    measurements = results._measurements
    chosen = (measurements["metric"] == "retention_masked_gain") & measurements["value"].notna()
    rng = np.random.default_rng(0)
    measurements.loc[chosen, "value"] = rng.random(int(chosen.sum()))
    frames = Frames(results)
    for _, row in frames.retention.query("metric == 'retention_masked_share' and explainer == 'saliency'").iterrows():
        own = frames.measurements.query("metric == 'retention_masked_gain' and explainer == 'saliency'")
        own = own[(own["model"] == row["model"]) & own["value"].notna()]
        gains = [own.loc[own["data_seed"] == seed, "value"].mean() for seed in (0, 1)]
        assert row["mean"] == pytest.approx(sum(gains) / 1.2)
        assert (row["n"], row["parts"], row["planned"]) == (2, 3, 4)


def test_draws_without_a_value_are_counted(tmp_path):
    frames = Frames(build(tmp_path, folds=2, undefined=((0, 1), (2, 0), (2, 1))))
    assert "2 of 3 draws, 3 of 6 folds" in scores(frames)["spectral"]
    assert any("(data seeds 0 and 2)" in text for text in Scores(frames, "toy").findings())
    assert "folds" not in scores(Frames(build(tmp_path / "all", folds=2)))["spectral"]


def test_a_second_judge_has_columns_and_a_curve_of_its_own(tmp_path):
    pages(tmp_path, judges=("network", "trees"))
    page = of_dataset(tmp_path)
    titles = re.findall(r'<th scope="col">(.*?)</th>', section(page, "scores"))
    forms = ["Retrained", "Trees", "Masked"]
    shares = [f"{form}, share of the possible gain" for form in forms]
    assert [title for title in titles if title in {*forms, *shares}] == [*forms, *shares]
    assert "trees: test score" in section(page, "retained")


def test_numbers_of_the_curves_stand_below_them(tmp_path):
    curve = {1: 0.6, 2: 0.7, 3: 0.8}
    frames = Frames(build(tmp_path, curve=lambda name, k: curve[k]))
    (table,) = Retained(frames, "toy").tables()
    assert [(c.group, c.name) for c in table.columns[1:]] == [
        (form, f"k = {k}") for form in ("Retrained", "Masked") for k in (1, 2, 3)
    ]
    by_name = {row.name: row for row in table.rows}
    assert [box.main for box in by_name["saliency"].boxes[1:4]] == ["0.600", "0.700", "0.800"]
    assert by_name["saliency"].boxes[1].bar == pytest.approx((0.6 - 0.5) / 0.5)
    assert by_name["random"].kind == by_name["oracle"].kind == "control"


def test_the_rows_that_each_method_was_given_are_shown(five):
    table = rows(of_section(Cost(five))[0])
    assert 'data-order="256">256</td>' in table["saliency"]
    assert "<td>–</td>" in table["mutual_information"]


@pytest.mark.parametrize(
    ("ks", "expected"),
    [([1, 2, 3, 5, 8, 12, 20], [1, 2, 3, 5, 8, 12, 20]), ([*range(1, 100), 784], [1, 2, 5, 10, 20, 50, 100, 200, 784]),
     ([*range(1, 21)], [1, 2, 5, 10, 20])],
    ids=["few", "many", "dense"],
)  # fmt: skip
def test_ticks_do_not_touch(ks, expected):
    assert ticks(ks) == expected


def test_splits_of_one_table_have_corrected_intervals(tmp_path):
    frames = Frames(build(tmp_path, seeds=(0, 1, 2, 3, 4), truth=False, facts={"traits": ["real"]}))
    rows = frames.retention[frames.retention["metric"] == "retention_retrained_gain"]
    (row,) = rows[(rows["explainer"] == "spectral")].to_dict("records")
    expected = corrected_interval([gained("spectral", seed) for seed in range(5)], 20 / 64)
    assert (row["low"], row["high"]) == pytest.approx(expected)
    shares = frames.retention[frames.retention["metric"] == "retention_retrained_share"]
    assert shares["low"].isna().all()
