"""The leaderboards of a report: the numbers of ``Results.leaderboard``, what else is measured, and what is decided."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.reports import build, rows, section, text_of
from xai_bench import plots
from xai_bench.report import in_short, write_report
from xai_bench.report.kit import drawing, ranking
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.markup import of_section
from xai_bench.report.kit.wording import number, seconds
from xai_bench.report.sections import pairs, standings
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
    networks, by_network, entrants, *others = Standings(frames).tables()
    assert [row.name for row in networks.rows] == list(results.leaderboard("networks")["name"])
    assert [row.name for row in entrants.rows] == list(results.leaderboard("entrants")["name"])
    assert "Methods by Precision at p" in [table.caption for table in others]
    board = results.leaderboard("entrants", "retention").set_index("name")["score"].to_dict()
    for row in by_network.rows:
        for column, box in zip(by_network.columns, row.boxes, strict=True):
            if column.group == "Retention, points":
                value = board.get(f"{row.name} on {column.name}")
                assert box.main == ("–" if value is None else number(value, 1))


def test_families_where_a_network_learned_are_counted(results):
    board = results.leaderboard("networks").assign(score_learned=0.5, families_learned=0)
    (table, *_) = [standings._small(board, "Networks", "Network")]
    assert [row.boxes[1].small for row in table.rows] == ["0 of 1 families"] * len(board)
    table = standings._small(board.assign(families_learned=1), "Networks", "Network")
    assert {row.boxes[1].small for row in table.rows} == {""}


def test_the_matrix_of_pairs_is_mirrored(results, frames):
    (matrix, _) = Pairs(frames).tables()
    names = [row.name for row in matrix.rows]
    sign = {(row.name, other): box for row in matrix.rows for other, box in zip(names, row.boxes, strict=True)}
    for pair in results.pairs().to_dict("records"):
        one, other = sign[pair["first"], pair["second"]], sign[pair["second"], pair["first"]]
        signs = {"better": ("▲", "▼"), "equal": ("=", "="), "undecided": ("·", "·"), APART: ("×", "×")}
        assert (one.main, other.main) == signs[pair["outcome"]]
        if pair["outcome"] == APART:
            assert one.value is other.value is None
        else:
            assert [one.value, -other.value] == pytest.approx([pair["difference"]] * 2)
    assert {"▲", "▼", "×"} <= {box.main for box in sign.values()}


def test_pairs_on_fewer_networks_are_marked_in_the_matrix(results):
    frames, own = Frames(results), results.compare("methods")
    first, second, third = own.together[:3]
    pairs = own.pairs().assign(networks=2)
    pairs.loc[pairs["first"].isin([first, second]) & pairs["second"].isin([first, second]), "networks"] = 1
    apart = pairs["first"].isin([first, third]) & pairs["second"].isin([first, third])
    pairs.loc[apart, ["outcome", "difference", "networks"]] = "different networks", np.nan, 0
    board = results.leaderboard("methods").assign(networks=2)
    made = SimpleNamespace(pairs=lambda: pairs, leaderboard=lambda: board)
    frames = SimpleNamespace(comparison=lambda of: made, board=lambda of: board, in_focus=lambda *_: False)
    matrix = Pairs(frames)._matrix("methods", "")  # type: ignore[arg-type]
    place = {column.name: j for j, column in enumerate(matrix.columns)}
    box = {(row.name, name): row.boxes[j] for row in matrix.rows for name, j in place.items()}
    assert box[first, second].small == box[second, first].small == "1"
    assert (box[first, third].main, box[third, first].main) == ("×", "×")
    assert box[first, third].value is None
    assert {box[second, third].small, box[first, first].small} == {""}


def test_an_aim_that_is_missed_is_printed_as_missed(frames, monkeypatch):
    shares = frames.comparison("methods").shares()
    monkeypatch.setitem(pairs.EXPECTED, "hand", ("methods", shares["better"] + 0.01, None))
    assert Pairs(frames).findings()[-1].endswith(" %: missed.")
    monkeypatch.setitem(pairs.EXPECTED, "hand", ("methods", shares["better"] - 0.01, 1 - shares["undecided"] - 0.01))
    said = Pairs(frames).findings()[-1]
    assert said.startswith("Expected of the pairs of methods before the run: ")
    assert said.count(": reached") == 2
    monkeypatch.setitem(pairs.EXPECTED, "hand", ("methods", shares["better"] - 0.01, 1 - shares["undecided"] + 0.01))
    assert Pairs(frames).findings()[-1].endswith(": missed.")


def test_further_families_are_counted_where_there_are_enough(frames):
    assert not any("further families" in text for text in Pairs(frames).findings())
    found = SimpleNamespace(
        counts=lambda: {"pairs": 10, "undecided": 7}, together=list("abcde"),
        leaderboard=lambda: frames.board("methods").assign(first_group=True, ranked=True, confirmatory=True),
    )  # fmt: skip
    results = SimpleNamespace(compare=lambda of, whole_kind: found)
    said = Pairs(SimpleNamespace(results=results))._further()  # type: ignore[arg-type]
    assert said.startswith("For further families of this kind 3 of 10 pairs of methods are decided, and ")
    assert f"{len(frames.board('methods'))} of 5 methods are not shown to be worse" in said


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
    assert {box.link for box in row.boxes[1:]} == {"datasets/toy.html#scores"}
    assert {box.link for box in retention.rows[0].boxes[1:]} == {"datasets/toy.html#retained"}
    assert [column.name for column in entrants.columns[1:]] == list(results.leaderboard("entrants")["name"])


def test_how_many_networks_learned_stands_beside_a_dataset(frames):
    (recovery, *_) = Overview(frames).tables()
    facts = [frames.reached("toy", model) for model in frames.models]
    learned, of = (sum(one[name] for one in facts) for name in ("learned", "of"))
    assert recovery.rows[0].boxes[0].main == f"{learned} of {of}"
    values = frames.comparison("methods").values.groupby("name")["learned"].mean()
    marked = {c.name: box.unlearned for c, box in zip(recovery.columns[1:], recovery.rows[0].boxes[1:], strict=True)}
    assert marked == {name: bool(values[name] < 1) for name in marked}
    assert "†" in Overview(frames).words()


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
