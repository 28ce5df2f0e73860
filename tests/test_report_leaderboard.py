"""The leaderboards of a report: the numbers of ``Results.leaderboard``, what else is measured, and what is decided."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reports import build, rows, section, text_of
from xai_bench import plots
from xai_bench.report import in_short, write_report
from xai_bench.report.kit import drawing, ranking
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import of_section
from xai_bench.report.kit.wording import number, seconds
from xai_bench.report.sections.leaderboard import Leaderboard
from xai_bench.report.sections.overview import Overview
from xai_bench.report.sections.pairs import Pairs
from xai_bench.report.sections.standings import Standings
from xai_bench.report.sections.traits import Traits
from xai_bench.results.comparison import APART

TRAITS = {"family": "toys", "traits": ["marginal", "real"]}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Ten draws, on which saliency and spectral are far better, with noise on all scores."""
    found = build(tmp_path_factory.mktemp("ten"), seeds=tuple(range(10)), facts=TRAITS)
    noise = 0.02 * np.random.default_rng(0).random(len(found._measurements))
    recovery = found._measurements["metric"].isin(["auroc", "precision_at_p"])
    found._measurements["value"] = found._measurements["value"].astype(float) - np.where(recovery, noise, 0.0)
    return found


@pytest.fixture(scope="module")
def frames(results):
    return Frames(results)


def test_the_table_is_the_leaderboard(results, frames):
    board = results.leaderboard("methods")
    html = of_section(Leaderboard(frames))[0]
    found = rows(html)
    assert list(found) == list(board["name"])
    for row in board.to_dict("records"):
        cells = text_of(found[row["name"]])
        low, high = int(row["rank_low"]), int(row["rank_high"])
        assert cells.startswith(f"{low}–{high}{number(row['score'])}")
        first = ' class="first"' if row["first_group"] else ""
        assert f'<tr{first}><th scope="row">{row["name"][:3]}' in html
    given = results.cells[results.cells["explainer"] == "saliency"]
    assert seconds((given["setup_cpu"] + given["explain_cpu"]).median()) in found["saliency"]


def test_retention_beside_it_is_that_of_its_own_leaderboard(results, frames):
    frame = ranking.joined(frames, "methods").set_index("name")
    board = results.leaderboard("methods", "retention").set_index("name")["score"]
    assert frame["retention"].to_dict() == pytest.approx(board.to_dict())


def test_columns_without_a_value_are_left_out_and_said_to_be(frames):
    (table,) = Leaderboard(frames).tables()
    assert not {"Stability", "False selections"} & {column.name for column in table.columns}
    assert any("stability, which needs two model seeds" in text for text in Leaderboard(frames).findings())


def test_below_five_draws_there_are_no_ranks_and_no_first_group(by_hand):
    (table,) = Leaderboard(Frames(by_hand)).tables()
    assert "Rank" not in {column.name for column in table.columns}
    assert {row.kind for row in table.rows} == {"method"}


def test_the_first_sentences_are_those_of_the_results(results, frames):
    said = " ".join(results.in_words()).replace("2 AUROC - 1", "2 AUROC − 1")
    assert Leaderboard(frames).words() == said
    assert [text for _, text in in_short(results)] == [
        text.replace("2 AUROC - 1", "2 AUROC − 1").replace("`", "") for text in results.in_words()
    ]


def test_networks_and_entrants_have_leaderboards(results, frames):
    networks, entrants, *others = Standings(frames).tables()
    assert [row.name for row in networks.rows] == list(results.leaderboard("networks")["name"])
    assert [row.name for row in entrants.rows] == list(results.leaderboard("entrants")["name"])
    assert "Methods by Precision at p" in [table.caption for table in others]


def test_the_matrix_of_pairs_is_mirrored(results, frames):
    (matrix, _) = Pairs(frames).tables()
    names = [row.name for row in matrix.rows]
    sign = {(row.name, other): box for row in matrix.rows for other, box in zip(names, row.boxes, strict=True)}
    for pair in results.pairs().to_dict("records"):
        one, other = sign[pair["first"], pair["second"]], sign[pair["second"], pair["first"]]
        signs = {"better": ("▲", "▼"), "equal": ("=", "="), "undecided": ("·", "·"), APART: ("×", "×")}
        assert (one.main, other.main) == signs[pair["outcome"]]
        assert [one.value, -other.value] == pytest.approx([pair["difference"]] * 2, nan_ok=True)
    assert {"▲", "▼", "×"} <= {box.main for box in sign.values()}


def test_shares_of_pairs_are_those_of_the_comparison(results, frames):
    share = results.compare("methods").shares()["better"]
    assert f"better {100 * share:.0f} %" in Pairs(frames).findings()[0]


def test_traits_are_means_over_their_datasets(results, frames):
    (table,) = Traits(frames).tables()
    assert [column.name for column in table.columns] == ["marginal (1 dataset)", "real (1 dataset)"]
    board = results.leaderboard("methods").set_index("name")["score"]
    for row in table.rows:
        assert [box.value for box in row.boxes] == pytest.approx([board[row.name]] * 2)


def test_cells_of_datasets_lead_to_their_pages(results, frames):
    recovery, entrants, retention = Overview(frames).tables()
    (row,) = recovery.rows
    assert row.link == "datasets/toy.html"
    assert {box.link for box in row.boxes} == {"datasets/toy.html#scores"}
    assert {box.link for box in retention.rows[0].boxes} == {"datasets/toy.html#retained"}
    assert [column.name for column in entrants.columns] == list(results.leaderboard("entrants")["name"])


def test_nothing_is_highlighted_unless_it_is_in_focus(results, tmp_path):
    page = write_report(results, tmp_path / "none").read_text(encoding="utf-8")
    assert 'class="focus"' not in page
    assert drawing.HIGHLIGHT not in page
    page = write_report(results.focused("saliency"), tmp_path / "one").read_text(encoding="utf-8")
    assert '<tr class="focus"><th scope="row">saliency' in section(page, "leaderboard")
    assert drawing.HIGHLIGHT in section(page, "leaderboard")
    assert "<code>saliency</code> against each of the others, step-down: better than" in section(page, "pairs")


def test_names_beside_a_figure_do_not_overlap_and_stay_within():
    places = plots.spaced([0.01, 0.02, 0.5, 0.98, 0.99], 0.1)
    assert (np.diff(places) >= 0.1 - 1e-12).all()
