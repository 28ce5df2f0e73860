"""Published tables beside ours: read as published, compared with both errors, decided with Holm, said in words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from benchmarks import anchor_reasons
from benchmarks import anchors as page_maker
from tests.reference import published as literal
from xai_bench import registry, run
from xai_bench.datasets.blocks import CorrelatedBlocks, Pathways
from xai_bench.errors import InputError
from xai_bench.published import anchors
from xai_bench.published.anchors import Mean
from xai_bench.report.kit.frames import Frames
from xai_bench.report.kit.section import show
from xai_bench.report.sections.anchor import AnchorTable
from xai_bench.results import anchor_text
from xai_bench.results.agreement import LEVEL, Compared, compared, decided, draws_needed, next_level
from xai_bench.suites import reading
from xai_bench.suites.shipped import shipped
from xai_bench.suites.suite import CONTROLS

SUITE = {
    "name": "beside",
    "anchor": "cpi",
    "data_seeds": [0, 1, 2, 3, 4],
    "datasets": [{"name": "correlated_blocks", "n": 1250, "rule": "linear"}],
    "explainers": [{"name": "f_test"}, {"name": "lasso", "strengths": 3}],
}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [((0.62, 0.07, 20), (0.60, 0.08, 100)), ((0.9, 0.01, 5), (0.7, 0.02, 3)), ((0.5, 0.05, 10), (0.531, 0.05, 10))],
)
def test_the_two_questions_are_those_of_welch(ours, theirs):
    found = compared(Mean(*ours), Mean(*theirs))
    assert found.difference == pytest.approx(ours[0] - theirs[0])
    assert (found.agrees, found.differs) == pytest.approx(literal.welch(ours, theirs, 0.03), rel=1e-6)


def test_one_run_of_theirs_varies_as_a_draw_of_ours():
    found = compared(Mean(0.9, 0.02, 16), Mean(0.8, None, 1))
    assert found.error == pytest.approx(0.02 * np.sqrt(1 + 1 / 16))
    assert found.degrees == pytest.approx(15)
    assert compared(Mean(0.9, 0.02, 16), Mean(0.8, 0.005, None)).error == pytest.approx(np.hypot(0.005, 0.005))


def test_runs_without_a_spread_vary_as_draws_of_ours():
    found = compared(Mean(0.9, 0.02, 16), Mean(0.8, None, 100))
    assert found.error == pytest.approx(0.02 * np.sqrt(1 / 100 + 1 / 16))
    assert found.degrees == pytest.approx(15), "nothing was estimated from theirs"


def test_the_draws_that_would_decide_are_the_fewest():
    rng, found = np.random.default_rng(0), []
    for _ in range(30):
        ours = Mean(0.8 + rng.uniform(-0.1, 0.1), rng.uniform(0.01, 0.1), 5)
        theirs = Mean(0.8, rng.uniform(0.01, 0.1), 100)
        found.append(draws_needed(ours, theirs, 0.01))

        def smallest(n, ours=ours, theirs=theirs):
            both = compared(ours._replace(n=n), theirs)
            return min(both.agrees, both.differs)

        if found[-1] is None:
            assert smallest(10_000) > 0.01
        else:
            assert smallest(found[-1]) <= 0.01
            assert found[-1] == 5 or smallest(found[-1] - 1) > 0.01
    assert None in found
    assert any(found)


def test_holm_goes_on_at_the_level_of_the_rows_that_are_left():
    rows = [Compared(0.0, 1.0, 1.0, p, 0.9) for p in (1e-6, 0.2, 0.3)] + [Compared(0.0, np.nan, 1.0, 0.1, 0.1)]
    assert next_level(rows, decided(rows)) == pytest.approx(LEVEL / 2)


def test_draws_that_share_rows_vary_more():
    found = compared(Mean(0.9, 0.02, 5), Mean(0.8, 0.02, 4), shared=0.25)
    assert found.error == pytest.approx(0.02 * np.sqrt(1 / 5 + 0.25 + 1 / 4))


def test_few_draws_decide_nothing():
    few = compared(Mean(0.9, 0.001, 4), Mean(0.1, 0.001, 100))
    assert np.isnan([few.error, few.agrees, few.differs]).all()
    assert decided([few]) == ["undecided"]


def test_equal_figures_without_spread_agree():
    assert decided(
        [compared(Mean(1.0, 0.0, 5), Mean(1.0, 0.0, 5)), compared(Mean(1.0, 0.0, 5), Mean(0.9, 0.0, 5))]
    ) == [
        "agrees",
        "differs",
    ]


def test_outcomes_are_those_of_holm_over_the_rows():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = 10.0 ** -rng.uniform(0, 4, (6, 2))
        p_values[np.arange(6), rng.integers(0, 2, 6)] = 0.9  # one of the two is always large
        rows = [Compared(0.0, 1.0, 1.0, *pair) for pair in p_values]
        rejected = literal.holm(p_values.min(1).tolist(), 0.05)
        words = np.where(p_values[:, 0] < p_values[:, 1], "agrees", "differs")
        expected = [word if decided_ else "undecided" for word, decided_ in zip(words, rejected, strict=True)]
        assert decided(rows) == expected


def test_wrong_decisions_are_rare():
    """Differences at and around the margin, both errors estimated; the level bounds the chance of any wrong one."""
    rng, wrong = np.random.default_rng(1), 0
    true = np.array([0.0, 0.029, 0.031, 0.031, 0.1])
    for _ in range(400):
        ours, theirs = rng.normal(true, 0.03, (10, 5)), rng.normal(0.0, 0.03, (40, 5))
        rows = [
            compared(Mean(a.mean(), a.std(ddof=1), 10), Mean(b.mean(), b.std(ddof=1), 40))
            for a, b in zip(ours.T, theirs.T, strict=True)
        ]
        allowed = np.where(true < 0.03, "agrees", "differs")
        wrong += any(o not in (a, "undecided") for o, a in zip(decided(rows), allowed, strict=True))
    assert wrong / 400 <= 0.05


@pytest.mark.parametrize("name", anchors.names())
def test_every_name_of_an_anchor_is_known(name):
    anchor = anchors.anchor(name)
    published = {
        "scores": {f.score for f in anchor.figures},
        "data": {f.data for f in anchor.figures},
        "methods": {f.method for f in anchor.figures},
    }
    for what, names in published.items():
        assert {pair.theirs for pair in getattr(anchor, what)} <= names
    for pair in anchor.data:
        registry.create("datasets", pair.ours, dict(pair.fields))
    for pair in anchor.methods:
        if pair.ours not in CONTROLS:
            registry.create("explainers", pair.ours, dict(pair.fields))
    for reason in anchor.reasons:
        assert (reason.score, reason.data, reason.method) in {(f.score, f.data, f.method) for f in anchor.figures}
    assert anchor.source
    assert anchor.licence
    assert len({(f.score, f.data, f.method) for f in anchor.figures}) == len(anchor.figures)


def test_the_published_file_is_read_as_it_is():
    anchor = anchors.anchor("cpi")
    values = {(f.score, f.data, f.method): f.value for f in anchor.figures}
    assert len(values) == 170
    assert values["auc", "Plain linear", "MDI"] == (0.7092, 0.0647, 100)
    assert values["type1error", "Main effects and Interactions", "Permfit-DNN"] == (0.714, 0.107, 100)
    assert "SAGE" in anchor.without_counterpart()


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("anchor_")])
def test_a_shipped_suite_has_data_and_methods_of_its_anchor(name):
    suite = reading.load(name)
    anchor, config = anchors.anchor(suite.anchor), suite.config()
    assert any(pair.fits(entry) for pair in anchor.data for entry in config["datasets"])
    assert all(any(pair.fits(entry) for pair in anchor.data) for entry in config["datasets"])
    assert any(pair.fits(entry) for pair in anchor.methods for entry in config["explainers"])


def test_a_suite_without_an_anchor_stays_as_it_was():
    assert "anchor" not in reading.load("quick").config()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run(SUITE, out=tmp_path_factory.mktemp("anchor"))


def test_theirs_stand_beside_ours(results):
    found = results.anchor()
    rows = {row["score"]: row for row in found.table.to_dict("records")}
    assert set(rows) == {"auc", "power", "type1error"}
    assert set(found.table["explainer"]) == {"f_test"}, "Lasso alone was not published"
    chosen = results.selections().query("metric == 'type1_error'")["value"]
    assert rows["type1error"]["ours"] == pytest.approx(chosen.mean())
    row = rows["auc"]
    assert (row["data"], row["method"], row["explainer"], row["model"]) == ("Plain linear", "Marginal", "f_test", "")
    draws = results.measurements.query("metric == 'auroc' and explainer == 'f_test'")["value"]
    assert (row["ours"], row["ours_sd"], row["ours_n"]) == pytest.approx((draws.mean(), draws.std(), 5))
    assert (row["published"], row["published_sd"], row["published_n"]) == (0.6415, 0.0793, 100)
    both = compared(Mean(draws.mean(), draws.std(), 5), Mean(0.6415, 0.0793, 100))
    assert (row["difference"], row["error"]) == pytest.approx((both.difference, both.error))
    assert "SHAP" in found.absent
    assert "Marginal" not in found.absent
    assert found.sentences()[0].startswith("Of 3 pairs of figures: ")


def test_a_difference_has_its_measured_reason_or_none(results, monkeypatch):
    anchor, ours = anchors.anchor("cpi"), results.anchor().table.set_index("score")["ours"]["auc"]
    chosen = ("auc", "Plain linear", "Marginal")
    far = dataclasses.replace(anchor, figures=(anchors.Figure(*chosen, Mean(ours - 0.4, 0.01, 100)),), reasons=())
    near, other = (anchors.Reason(*chosen, "their rows", Mean(ours - 0.4 + step, 0.01, 100)) for step in (0.01, 0.3))
    partly = anchors.Reason(*chosen, "their trees", Mean(ours - 0.25, 0.01, 100))
    for reasons, expected in (
        ((), "not explained"),
        ((other,), "not explained: with their rows ours"),
        ((other, partly), "in part: with their trees ours"),
        ((other, partly, near), "with their rows ours"),
    ):
        shown = dataclasses.replace(far, reasons=reasons)
        monkeypatch.setattr("xai_bench.results.anchors.anchor", lambda name, shown=shown: shown)
        found = results.anchor()
        assert found.table["outcome"].item() == "differs"
        assert found.table["why"].item().startswith(expected)
        assert ("1 is not explained" in found.sentences()[1]) == expected.startswith("not explained")
        assert ("1 has one for part" in found.sentences()[1]) == expected.startswith("in part")


def test_an_undecided_figure_says_how_many_draws_would_do(results, monkeypatch):
    anchor, own = anchors.anchor("cpi"), results.anchor().table.set_index("score")["ours"]["auc"]
    for theirs, expected in (
        (Mean(own - 0.06, 0.05, 100), "draws would do"),
        (Mean(own - 0.03, 0.05, 100), "no number"),
    ):
        figure = anchors.Figure("auc", "Plain linear", "Marginal", theirs)
        shown = dataclasses.replace(anchor, figures=(figure,), reasons=())
        monkeypatch.setattr("xai_bench.results.anchors.anchor", lambda name, shown=shown: shown)
        found = results.anchor()
        (row,) = found.table.to_dict("records")
        assert row["outcome"] == "undecided"
        assert expected in row["why"]
        assert (row["draws_needed"] > row["ours_n"]) == (expected == "draws would do")
        assert ("1 of 1" in found.sentences()[1]) == (row["draws_needed"] <= 100)


def test_the_page_and_the_command_show_protocols_first(results):
    shown = show(AnchorTable, Frames(results))
    out = anchor_text.text(results.anchor().anchor, results.anchor())
    for text in (shown.html, shown.summary, out):
        assert text.index("800 of 1000") < text.index("0.641 (sd 0.079, 100 runs)")
        assert "NeurIPS 2023" in text
    results = dataclasses.replace(results, suite={**results.suite, "anchor": ""})
    assert show(AnchorTable, Frames(results)) is None


def command(*arguments: str, monkeypatch) -> int:
    from xai_bench import cli

    monkeypatch.setattr("sys.argv", ["xai-bench", "anchor", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_the_command_takes_suites_and_results(results, tmp_path, monkeypatch, capsys):
    assert command("anchor_cpi", monkeypatch=monkeypatch) == 0
    assert "nothing here stands for: CPI-RF" in capsys.readouterr().out
    assert (
        command(str(results.folder), "--format", "csv", "--out", str(tmp_path / "a.csv"), monkeypatch=monkeypatch) == 0
    )
    assert list(pd.read_csv(tmp_path / "a.csv")["method"]) == ["Marginal"] * 3


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["quick"], "expected a suite that names one"),
        (["quick", "--with", "cpj"], "unknown anchor 'cpj': did you mean cpi?"),
        (["anchor_cp"], "unknown suite 'anchor_cp': did you mean anchor_cpi"),
        (["anchor_cpi", "--format", "csv"], "expected results of a run for --format csv"),
        (["anchor_cpi", "--format", "pdf"], "unknown format 'pdf'"),
    ],
)
def test_bad_names_are_one_line(arguments, line, monkeypatch, capsys):
    assert command(*arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_suite_with_an_unknown_anchor_is_refused():
    with pytest.raises(InputError, match="unknown anchor 'cpo': did you mean cpi"):
        reading.from_dict({**SUITE, "anchor": "cpo"})


def test_blocks_are_correlated_and_signals_come_first():
    source = CorrelatedBlocks(n=20_000, d=10, signals=4, correlation=0.6)
    found = np.corrcoef(source.load(0).in_canonical_order().X_train.T)
    near = np.isclose(found, 0.6, atol=0.03)
    assert (near.sum(1) == 4).all(), "four others in a block of five"
    assert (near | np.isclose(found, 0.0, atol=0.03) | np.eye(10, dtype=bool)).all()
    others = np.corrcoef(source.load(1).in_canonical_order().X_train.T)
    assert (np.isclose(others, 0.6, atol=0.03) != near).any(), "who shares a block varies with the draw"
    assert source.load(0).canonical_truth.roles == ("relevant",) * 4 + ("noise",) * 6


@pytest.mark.parametrize("rule", ["linear", "interactions", "both", "relu"])
def test_draws_have_the_law_of_the_literal_protocol(rule):
    """Columns drawn jointly and reordered, effects and noise one by one: the spread of the target, its kurtosis (which
    tells products from sums), and how strongly signals and others correlate with it, over draws."""
    ours, literally = [], []
    for seed in range(60):
        drawn = CorrelatedBlocks(n=400, d=20, signals=8, rule=rule).draw(np.random.default_rng(seed))
        ours.append(literal.facts(drawn.X, drawn.y, 8))
        literally.append(literal.facts(*literal.blocks(np.random.default_rng(1000 + seed), rule, 400, 20, 8, 4), 8))
    a, b = np.log(ours), np.log(literally)
    error = np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
    assert (np.abs(a.mean(0) - b.mean(0)) < 4 * error).all()


def test_pathways_have_a_signal_each_and_the_literal_target():
    drawn = Pathways(n=20_000, d=24, block=4, correlation=0.6).draw(np.random.default_rng(0))
    found, member = np.corrcoef(drawn.X.T), [0, 1, 2, 3, 4, *np.repeat(range(5), 3), 5, 5, 5, 5]
    expected = np.where(np.equal.outer(member, member), 0.6, 0.0) + 0.4 * np.eye(24)
    np.testing.assert_allclose(found, expected, atol=0.03)
    left = drawn.y - [literal.pathways(row) for row in drawn.X]
    assert (left.mean(), left.std()) == pytest.approx((0, 1), abs=0.03)
    assert np.abs(np.corrcoef(np.column_stack([left, drawn.X]).T)[0, 1:]).max() < 0.04
    assert drawn.truth.roles == ("relevant",) * 5 + ("noise",) * 19


@pytest.mark.parametrize("rule", ["linear", "interactions", "both", "relu", "classes"])
def test_targets_are_those_of_the_literal_rule(rule, monkeypatch):
    source = CorrelatedBlocks(n=300, d=10, signals=5, rule=rule, snr=1e9)
    seen = {}
    monkeypatch.setattr(
        CorrelatedBlocks, "size", lambda self, *given: seen.update(effects=given[:2]) or 0.0, raising=True
    )
    if rule == "classes":
        monkeypatch.setattr("scipy.special.expit", lambda x: (x > 0).astype(float))
    table = source.draw(np.random.default_rng(3))
    expected = np.array([literal.signal(row, *seen["effects"]) for row in table.X])
    has_inputs, has_pairs = (bool(np.any(part)) for part in seen["effects"])
    assert (has_inputs, has_pairs) == (rule != "interactions", rule in ("interactions", "both"))
    if rule == "relu":
        expected = np.maximum(expected, 0)
    if rule == "classes":
        expected = expected > 0
    np.testing.assert_allclose(table.y, expected, atol=1e-10)


@pytest.mark.parametrize("rule", ["linear", "interactions", "both"])
def test_the_noise_is_a_quarter_of_the_expected_size(rule):
    source = CorrelatedBlocks(n=50_000, d=10, signals=6, rule=rule, snr=1e9)
    loud = CorrelatedBlocks(n=50_000, d=10, signals=6, rule=rule, snr=4.0)
    clean, noisy = (one.draw(np.random.default_rng(5)).y for one in (source, loud))
    assert np.std(noisy - clean) == pytest.approx(np.sqrt(np.mean(clean**2)) / 4, rel=0.03)


def test_fields_that_do_not_fit_are_one_line():
    with pytest.raises(InputError, match="expected d in whole blocks, got d = 12 and block = 5"):
        CorrelatedBlocks(d=12, signals=4)
    with pytest.raises(InputError, match="expected signals <= d"):
        CorrelatedBlocks(d=10, signals=11)
    with pytest.raises(InputError, match="expected d in whole blocks, at least 5 of them, got d = 40 and block = 10"):
        Pathways(d=40)


def test_power_and_type_1_error_are_shares_of_p_values(tmp_path):
    pytest.importorskip("hidimstat")
    method = {"name": "conditional_randomisation", "folds": 2, "strengths": 3}
    data = [{"name": "correlated_blocks", "n": 1250, "rule": "linear"}]
    found = run({**SUITE, "data_seeds": [0], "datasets": data, "explainers": [method]}, out=tmp_path)
    table = found.anchor().table.set_index("score")
    (tested,) = found.tested.values()
    (roles,) = {facts.roles for facts in found.draws.values()}
    above = np.array(tested.p_values) < 0.05
    assert table.loc["power", "ours"] == pytest.approx(above[[role == "relevant" for role in roles]].mean())
    assert table.loc["type1error", "ours"] == pytest.approx(above[[role == "noise" for role in roles]].mean())
    assert set(table["method"]) == {"d0CRT"}
    assert set(table.index) == {"auc", "power", "type1error"}


def test_the_page_of_the_manual_is_made_from_the_committed_tables():
    assert page_maker.PAGE.read_text(encoding="utf-8") == page_maker.page(), "run python benchmarks/anchors.py"


def test_reasons_are_means_of_the_committed_draws(tmp_path, monkeypatch):
    found = anchor_reasons.kept()
    assert not found.duplicated(["change", "data", "score", "draw"]).any()
    monkeypatch.setattr(anchor_reasons, "PUBLISHED", tmp_path)
    anchor_reasons.write(found)
    for path in tmp_path.iterdir():
        committed = page_maker.ROOT / "xai_bench" / "published" / path.name
        assert path.read_text(encoding="utf-8") == committed.read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"cpi_reasons.csv", "syn_reasons.csv"}


def test_draws_are_measured_once(tmp_path, monkeypatch):
    seen = []

    def measured(data, draw):
        seen.append((data, draw))
        return {"auc": 0.5 + 0.1 * draw, "power": 1.0}

    change = anchor_reasons.Change("cpi", "MDI", "their trees", ("Plain linear", "Classification"), measured)
    monkeypatch.setattr(anchor_reasons, "CHANGES", {"trees": change})
    monkeypatch.setattr(anchor_reasons, "MEASURED", tmp_path / "reasons.csv")
    monkeypatch.setattr(anchor_reasons, "PUBLISHED", tmp_path)
    anchor_reasons.measure(["trees"], [], range(3))
    anchor_reasons.measure(["trees"], ["Plain linear"], range(5))
    assert len(seen) == len(set(seen)) == 8
    anchor_reasons.write(anchor_reasons.kept())
    rows = [line for line in (tmp_path / "cpi_reasons.csv").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert rows[1:] == [
        'auc,"Plain linear",MDI,their trees,0.7000,0.1581,5',
        'power,"Plain linear",MDI,their trees,1.0000,0.0000,5',
    ], "three draws are too few"
