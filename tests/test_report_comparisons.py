"""Who can be told from whom: marks, leaders and paired differences in a report."""

from __future__ import annotations

import pytest

from tests.reports import build, pages, rows, score, section
from xai_bench.report.kit import comparisons, matrix
from xai_bench.report.kit.comparisons import Pair
from xai_bench.report.kit.frames import Frames
from xai_bench.report.sections.recovery import Recovery


def test_overlap_with_the_highest_is_marked(page):
    html = rows(section(page, "recovery"))
    assert html["spectral"].count("•") == 2
    assert "•" not in html["mutual_information"]


def test_a_mean_of_one_draw_is_neither_near_nor_apart(tmp_path):
    page, summary = pages(tmp_path, only={"spectral": (0,)})
    html = rows(section(page, "recovery"))
    assert "•" not in html["spectral"]
    assert "(1 of 3 seeds)" in html["spectral"]
    assert "•" in html["saliency"]
    assert "Its interval overlaps" not in page + summary
    assert summary.count("On 1 dataset it has one draw only, so no interval.") == 2, "recovery and retention"
    assert "`spectral` on `net` is " not in summary
    assert "cannot be told from the highest mean: 2 of 4 on `toy` (AUROC). Left out, of one draw: 1 value" in summary
    assert "Values are means over up to 3 data seeds" in summary
    assert "A mean of one draw has no interval: it is compared with no other" in summary
    assert "2 of 4 1 of one draw left out" in summary
    assert "no difference is shown" not in summary
    assert "one data seed is shared, so no interval, on 1 dataset" in summary


def test_the_highest_mean_is_one_with_an_interval(tmp_path):
    frames = Frames(build(tmp_path, only={"saliency": (2,)}))
    best = comparisons.leader(frames, frames.recovery, "toy", "auroc")
    assert best.top == best.near == [Pair("net", "spectral")]
    assert len(best.compared) == 3
    assert best.left_out == 2
    lone = frames.recovery.query("explainer == 'saliency' and metric == 'auroc'")
    assert (lone["mean"] > best.row["mean"]).all()
    assert not lone["near"].any()
    assert "Its interval overlaps that of the highest mean on 1 of 1 dataset." in Recovery(frames).short()


def test_an_interval_alone_is_compared_with_nothing(tmp_path):
    others = dict.fromkeys(("saliency", "column_norm", "mutual_information"), (1,))
    page, summary = pages(tmp_path, only=others)
    assert "•" not in rows(section(page, "recovery"))["spectral"]
    assert "On 1 dataset no other pair has an interval." in summary
    assert "cannot be told from the highest mean:" not in summary
    assert "wherever" not in summary


@pytest.mark.parametrize("alone", ["spectral", "column_norm", "mutual_information"])
def test_the_highest_mean_is_that_of_all_where_nothing_is_compared(tmp_path, alone):
    names = ("spectral", "saliency", "column_norm", "mutual_information")
    frames = Frames(build(tmp_path, only={name: (1,) for name in names if name != alone}))
    recovery = frames.recovery
    rows = recovery.query("metric == 'auroc' and explainer not in ('random', 'oracle')")
    best = comparisons.leader(frames, recovery, "toy", "auroc")
    assert [pair.explainer for pair in best.compared] == [alone]
    assert best.near is None
    assert best.row["mean"] == rows["mean"].max()


def test_differences_are_over_shared_data_seeds_only(tmp_path):
    frames = Frames(build(tmp_path, only={"column_norm": (0, 1), "saliency": (1, 2)}))
    one, other = Pair("plain", "column_norm"), Pair("plain", "saliency")
    gap = comparisons.difference(frames, "toy", "auroc", one, other)
    assert (gap.n, gap.mean) == (1, pytest.approx(score("auroc", "column_norm", 1) - score("auroc", "saliency", 1)))
    view = matrix.standings(frames, frames.recovery, {"toy": ["auroc"]})
    assert any("(2 of 3 seeds)" in cell.small for cell in view.bodies[0].rows[0].boxes)


def test_every_value_of_one_draw_says_so(tmp_path):
    names = ("spectral", "saliency", "column_norm", "mutual_information")
    _, summary = pages(tmp_path, only=dict.fromkeys(names, (1,)))
    assert "Every value rests on one of the 3 data seeds only: no intervals" in summary
    assert "On 1 dataset it has one draw only, so no interval." in summary
