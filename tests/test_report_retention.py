"""What a report says of retention: gains in points, shares over all draws, how many draws there are."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.reports import GAP, REASON, build, gained, pages, rows, section, text_of
from xai_bench.report import write_report
from xai_bench.report.kit.frames import Frames
from xai_bench.report.sections.retention import Retention
from xai_bench.statistics import interval, ratio_of_sums

UNCLEAR = {0: 0.04, 1: -0.03, 2: 0.02, 3: -0.01}
"""What all inputs gain over random ones, by data seed: its interval includes 0."""


def words(results) -> str:
    return " ".join(Retention(Frames(results)).findings())


def test_gains_are_shown_in_points_with_their_number_of_draws(page):
    found = interval([gained("spectral", seed) for seed in (0, 1, 2)])
    shown = f"{100 * found.mean:.1f} <small>[{100 * found.low:.1f}, {100 * found.high:.1f}] 3 draws</small>"
    table = rows(section(page, "retention"))
    assert table["spectral"].count(shown) == 2  # retrained, masked
    assert "0.0 <small>by definition</small>" in table["random"]
    assert re.search(rf"`?spectral.*reaches a gain over random inputs of {100 * found.mean:.1f} points", text_of(page))


def test_bars_of_gains_are_full_at_what_all_inputs_gain(page):
    for name in ("spectral", "column_norm"):
        mean = np.mean([gained(name, seed) for seed in (0, 1, 2)])
        assert f"--b:{100 * min(mean / GAP, 1):.1f}%" in rows(section(page, "retention"))[name]


def test_the_share_is_of_all_draws(page, by_hand):
    share = ratio_of_sums([gained("column_norm", seed) for seed in (0, 1, 2)], [GAP] * 3)
    assert f"{share.mean:.3f} <small>[{share.low:.3f}, {share.high:.3f}] 3 draws</small>" in page
    frame = Frames(by_hand).retention
    assert not frame.loc[frame["metric"].str.endswith("_share"), "near"].any()
    # Two methods of 0.45 on one network, one on the other, retrained and masked.
    assert "Above 1, since fewer inputs did better than all: 6 shares" in section(page, "retention")


def test_no_draw_is_left_out_because_little_can_be_gained(tmp_path):
    results = build(tmp_path, seeds=tuple(UNCLEAR), gap=UNCLEAR.__getitem__)
    frame = Frames(results).retention
    (gain,) = frame.query("explainer == 'spectral' and metric == 'retention_retrained_gain'").to_dict("records")
    (share,) = frame.query("explainer == 'spectral' and metric == 'retention_retrained_share'").to_dict("records")
    assert (gain["n"], share["n"]) == (4, 4)
    gains = [gained("spectral", seed) for seed in UNCLEAR]
    assert gain["mean"] == pytest.approx(np.mean(gains))
    assert share["mean"] == pytest.approx(sum(gains) / sum(UNCLEAR.values()))
    assert np.isnan([share["low"], share["high"]]).all()
    text = words(results)
    assert "has an interval that includes 0 on `toy` (Retrained 0.5 [" in text
    assert "there a share of it has no interval" in text


def test_a_share_of_nothing_is_not_shown(tmp_path):
    results = build(tmp_path, gap=lambda seed: -0.1)
    assert not Frames(results).retention["metric"].str.endswith("_share").any()
    html = section(write_report(results, tmp_path / "report").read_text(encoding="utf-8"), "retention")
    assert "–" in rows(html)["spectral"]
    assert "share of the possible gain is above" not in html


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


def test_draws_without_a_value_are_listed_and_the_number_of_the_others_shown(tmp_path):
    page, summary = pages(tmp_path, folds=2, undefined=((0, 1), (2, 0), (2, 1)))
    text = "Draws without a value: `toy`, data seeds 0 (fold 1) and 2 (folds 0 and 1): " + REASON
    html = section(page, "retention")
    assert text in summary
    assert text.replace("`toy`", "toy") in text_of(html)
    assert "2 of 3 draws, 3 of 6 folds" in rows(html)["spectral"]
    assert "3 draws, 6 folds" not in html


def test_folds_are_counted_where_all_have_a_value(tmp_path):
    assert "3 draws, 6 folds" in rows(section(pages(tmp_path, folds=2)[0], "retention"))["spectral"]


def test_a_second_judge_has_columns_and_a_curve_of_its_own(tmp_path):
    page, _ = pages(tmp_path, judges=("network", "trees"))
    html = section(page, "retention")
    titles = [title for title in re.findall(r'<th scope="col">(.*?)</th>', html) if "share" in title or title in FORMS]
    assert titles == [text for form in FORMS for text in (form, f"{form}, share of the possible gain")]
    assert "trees: a forest, trained likewise" in html
    assert "trees: test score" in section(page, "datasets")


FORMS = ["Retrained", "Trees", "Masked"]


def test_trees_alone_are_what_the_words_compare(tmp_path):
    page, _ = pages(tmp_path, judges=("trees",))
    assert "(Trees)" in section(page, "retention")
    assert "<code>spectral</code> reaches a gain over random inputs of" in page


def test_nothing_is_said_of_pairs_that_share_too_few_draws(tmp_path):
    """`spectral` has an interval, and shares no data seed with the best mean."""
    others = dict.fromkeys(("column_norm", "saliency", "mutual_information"), (2, 3))
    text = words(build(tmp_path, seeds=(0, 1, 2, 3), only={"spectral": (0, 1), **others}))
    assert "Nor does a comparison paired by data seed" not in text


def test_the_rows_that_each_method_was_given_are_shown(page):
    table = rows(section(page, "cost"))
    assert 'data-v="256">256</td>' in table["saliency"]
    assert "Rows explained" in section(page, "cost")
    assert "<td>–</td>" in table["mutual_information"]
