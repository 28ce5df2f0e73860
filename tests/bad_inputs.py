"""Suites that nobody can run, each a mistake that somebody could make, or a mischief: name to the text of a file."""

from __future__ import annotations

PLAIN = """
name = "bad"
data_seeds = [0]
[[datasets]]
name = "xor"
[[models]]
name = "mlp"
[[explainers]]
name = "saliency"
"""


def changed(old: str, new: str) -> str:
    assert old in PLAIN
    return PLAIN.replace(old, new)


def above(line: str) -> str:
    """A further line for the suite itself."""
    return changed("data_seeds = [0]", f"data_seeds = [0]\n{line}")


def below(text: str) -> str:
    """A further table, or fields of the explainer."""
    return f"{PLAIN}{text}\n"


def seeds(value: str) -> str:
    return changed("[0]", value)


def dataset(fields: str) -> str:
    return changed('name = "xor"', f'name = "xor"\n{fields}')


def model(fields: str) -> str:
    return changed('name = "mlp"', f'name = "mlp"\n{fields}')


DEEP = "[" * 3000 + "]" * 3000
LONG = "a" * 10_000
DIGITS = "9" * 300
BIG = 10**12

TEXTS = {
    # not a suite
    "nothing": "",
    "no tables": 'name = "bad"\n',
    "words": "this is no TOML",
    "half a table": "[[datasets]\n",
    "a key twice": 'name = "a"\nname = "b"\n',
    "a quote that never ends": 'name = "bad\n',
    "bytes of no text": 'name = "\\ud800"\n',
    "a date for a name": "name = 2020-01-01\n" + PLAIN[14:],
    "deep lists": f"data_seeds = {DEEP}\n",
    "deep tables": "a." * 3000 + "b = 1\n",
    "thousands of digits": f"data_seeds = [{'9' * 5000}]\n",
    "unknown field": above("seed = 3"),
    "unknown table": below("[retentions]\nks = [1]"),
    "datasets as a text": PLAIN.replace('[[datasets]]\nname = "xor"', 'datasets = "xor"').replace("\n[[m", "\n[[m"),
    "datasets as numbers": "datasets = [1, 2]\n",
    "a dataset without a name": changed('name = "xor"', "n = 100"),
    "a number for a name of a dataset": changed('"xor"', "7"),
    "unknown dataset": changed('"xor"', '"xorr"'),
    "unknown model": changed('"mlp"', '"mpl"'),
    "unknown explainer": changed('"saliency"', '"salency"'),
    "a dataset of 10,000 letters": changed('"xor"', f'"{LONG}"'),
    "a dataset of control characters": changed('"xor"', '"x\\u0000or\\n"'),
    "no explainers": PLAIN.partition("[[explainers]]")[0],
    "no datasets": changed('[[datasets]]\nname = "xor"\n', ""),
    "no models": changed('[[models]]\nname = "mlp"\n', ""),
    "the same dataset twice": below('[[datasets]]\nname = "xor"'),
    "the control as an explainer": below('[[explainers]]\nname = "oracle"'),
    # names
    "a name with a slash": changed('"bad"', '"../bad"'),
    "a name that begins with a point": changed('"bad"', '".bad"'),
    "a name of blanks": changed('"bad"', '"  "'),
    "an empty name": changed('"bad"', '""'),
    "a name of 10,000 letters": changed('"bad"', f'"{LONG}"'),
    "a name of two lines": changed('"bad"', '"a\\nb"'),
    "a name with a zero": changed('"bad"', '"a\\u0000b"'),
    "a number as a name": changed('"bad"', "3"),
    "a list as a name": changed('"bad"', '["bad"]'),
    "a title of a million letters": above(f'title = "{LONG * 100}"'),
    "a number as a title": above("title = 1"),
    # seeds
    "nested seeds": seeds("[[0]]"),
    "no seeds": seeds("[]"),
    "one number as seeds": seeds("3"),
    "negative seeds": seeds("[-1]"),
    "broken seeds": seeds("[0.5]"),
    "endless seeds": seeds("[inf]"),
    "seeds that are no number": seeds("[nan]"),
    "true as a seed": seeds("[true]"),
    "a text as a seed": seeds('["0"]'),
    "a seed twice": seeds("[1, 1]"),
    "seeds of 65 bits": seeds("[9223372036854775808]"),
    "seeds of 300 digits": seeds(f"[{DIGITS}]"),
    "a table as seeds": seeds("{a = 1}"),
    "seeds by the hundred thousand": seeds(f"[{', '.join(map(str, range(100_001)))}]"),
    "model seeds nested": above("model_seeds = [[1]]"),
    "model seeds of 65 bits": above("model_seeds = [9223372036854775808]"),
    "model seeds below 0": above("model_seeds = [-3]"),
    # numbers of the suite
    "one fold": above("folds = 1"),
    "folds below 0": above("folds = -2"),
    "broken folds": above("folds = 2.5"),
    "folds of 1e20": above("folds = 1e20"),
    "folds of 300 digits": above(f"folds = {DIGITS}"),
    "folds by the million": above("folds = 1000000"),
    "endless folds": above("folds = inf"),
    "true folds": above("folds = true"),
    "one ranking": above("rankings = 1"),
    "rankings by the billion": above("rankings = 1000000000"),
    "a word for crossed": above('crossed = "yes"'),
    "a number for crossed": above("crossed = 1"),
    "a word for standardise": above('standardise = "no"'),
    "an unknown focus": above('focus = "salency"'),
    "a list as focus": above('focus = ["saliency"]'),
    "plugins as a number": above("plugins = 1"),
    "a plugin that is not there": above('plugins = ["nowhere.py"]'),
    "a plugin of nobody": above('plugins = ["~nobody-has-this-name/x.py"]'),
    "a plugin with a zero in its name": above('plugins = ["a\\u0000b.py"]'),
    "a plugin with a name of 10,000 letters": above(f'plugins = ["{LONG}.py"]'),
    "a folder as a plugin": above('plugins = ["/"]'),
    "extends what is not there": above('extends = "quik"'),
    "extends a number": above("extends = 1"),
    "extends a list": above('extends = ["quick"]'),
    # fields of datasets
    "too few rows": dataset("n = 3"),
    "rows below 0": dataset("n = -100"),
    "broken rows": dataset("n = 100.5"),
    "rows by the 10^9": dataset("n = 1000000000\nd = 1000"),
    "rows by the 10^12": dataset(f"n = {BIG}"),
    "rows of 300 digits": dataset(f"n = {DIGITS}"),
    "endless rows": dataset("n = inf"),
    "a text for rows": dataset('n = "100"'),
    "a list for rows": dataset("n = [100]"),
    "true rows": dataset("n = true"),
    "one input": dataset("d = 1"),
    "inputs by the 10^9": dataset("d = 1000000000"),
    "inputs by the million, rows too": dataset("d = 1000000\nn = 1000000"),
    "inputs of 65 bits": dataset("d = 18446744073709551616"),
    "an unknown field of a dataset": dataset("rows = 100"),
    "a field of 10,000 letters": dataset(f"{LONG} = 100"),
    "optional as a word": dataset('optional = "yes"'),
    "standardise of a dataset as a number": dataset("standardise = 1"),
    "a label that is a number": dataset("label = 3"),
    "an empty label": dataset('label = ""'),
    "a label of blanks": dataset('label = "   "'),
    "a label of two lines": dataset('label = "a\\nb"'),
    "a label that turns the text": dataset('label = "a\\u202eb"'),
    "a label of 10,000 letters": dataset(f'label = "{LONG}"'),
    "a label with a bell": dataset('label = "a\\u0007"'),
    "a grid that is a number": dataset("grid = 3"),
    "a grid of numbers": dataset("grid = {n = 100}"),
    "an empty grid": dataset("grid = {n = []}"),
    "a grid of nested lists": dataset("grid = {n = [[100]]}"),
    "a grid with a wrong value": dataset("grid = {n = [100, -1]}"),
    "a grid of an unknown field": dataset("grid = {m = [100]}"),
    "a grid and the field": dataset("n = 100\ngrid = {n = [100]}"),
    "a grid that explodes": dataset(f"grid = {{n = {list(range(20, 420))}, d = {list(range(2, 402))}}}"),
    "a grid beyond all numbers": dataset(
        f"grid = {{{', '.join(f'a{i} = {list(range(100))}' for i in range(50))}}}"
    ),
    "a grid with the same value twice": dataset("grid = {n = [100, 100]}"),
    "tune of a dataset": dataset("tune = {n = [100, 200]}"),
    "a table without a path": changed('"xor"', '"csv"'),
    "a table that is not there": changed('"xor"', '"csv:nowhere.csv"\ntarget = "y"\nkind = "regression"'),
    "a table of nobody": changed('"xor"', '"csv:~nobody-has-this-name/x.csv"\ntarget = "y"\nkind = "regression"'),
    "a table at a path with a zero": changed('"xor"', '"csv:a\\u0000b.csv"\ntarget = "y"\nkind = "regression"'),
    "a table with a path of 10,000 letters": changed('"xor"', f'"csv:{LONG}"\ntarget = "y"\nkind = "regression"'),
    "a folder as a table": changed('"xor"', '"csv:/"\ntarget = "y"\nkind = "regression"'),
    "a table without a target": changed('"xor"', '"csv"\npath = "x.csv"\nkind = "regression"'),
    "a table of an unknown kind": changed('"xor"', '"csv"\npath = "x.csv"\ntarget = "y"\nkind = "both"'),
    "noise below 0": changed('"xor"', '"friedman1"\nnoise = -1'),
    "noise without end": changed('"xor"', '"friedman1"\nnoise = inf'),
    "noise of 1e300": changed('"xor"', '"friedman1"\nnoise = 1e300'),
    "a flip above 1": changed('"xor"', '"gaussian_correlated"\nflip = [2.0]'),
    "more relevant than inputs": changed('"xor"', '"gaussian_independent"\nd = 5\nrelevant = 9'),
    "a digit too many of pictures": changed('"xor"', '"mnist"\nrows = 3'),
    # fields of networks
    "endless epochs": model("epochs = inf"),
    "epochs that are no number": model("epochs = nan"),
    "no epochs": model("epochs = 0"),
    "epochs below 0": model("epochs = -1"),
    "epochs of 1e300": model("epochs = 1e300"),
    "steps by the 10^12": model(f"min_steps = {BIG}"),
    "steps of 300 digits": model(f"min_steps = {DIGITS}"),
    "batches of none": model("batch_size = 0"),
    "batches of 65 bits": model("batch_size = 18446744073709551616"),
    "a rate of 0": model("learning_rate = 0"),
    "a rate of 1e300": model("learning_rate = 1e300"),
    "a rate that is a text": model('learning_rate = "fast"'),
    "no layers": model("hidden = []"),
    "a layer of none": model("hidden = [0]"),
    "a layer of 10^9": model("hidden = [1000000000]"),
    "layers that fill all memory": model(f"hidden = {[100_000] * 100}"),
    "thousands of layers": model(f"hidden = {[1] * 2000}"),
    "nested layers": model("hidden = [[10]]"),
    "deep layers": model(f"hidden = {'[' * 90}1{']' * 90}"),
    "broken layers": model("hidden = [10.5]"),
    "an unknown activation": model('activations = ["rely"]'),
    "an activation that is a number": model("activations = [1]"),
    "dropout of all": model("dropout = [1.0]"),
    "dropout below 0": model("dropout = [-0.1]"),
    "batch_norm as numbers": model("batch_norm = [1]"),
    "a penalty below 0": model("group_lasso = -1"),
    "a penalty without end": model("group_lasso = inf"),
    "checkpoints below 1": model("checkpoints = 0"),
    "a network for no dataset": model("datasets = []"),
    "a network for an unknown dataset": model('datasets = ["ring"]'),
    "a network for a number": model("datasets = [1]"),
    "tune without a budget": model("tune = {learning_rate = [0.1]}"),
    "tune that is empty": model("tune = {}") + "[tuning]\ntries = 3\n",
    "tune with a wrong value": model("tune = {learning_rate = [-1]}") + "[tuning]\ntries = 3\n",
    "tune that explodes": model(
        f"tune = {{{', '.join(f'a{i} = {list(range(100))}' for i in range(50))}}}"
    )
    + "[tuning]\ntries = 3\n",
    "no tries": below("[tuning]\ntries = 0"),
    "tries of 300 digits": below(f"[tuning]\ntries = {DIGITS}"),
    "a given network without a file": changed('"mlp"', '"given"'),
    "a given network of nobody": changed('"mlp"', '"given"\nmodule = "~nobody-has-this-name/x.py:net"\npath = "x.pt"'),
    "a given network without a function": changed('"mlp"', '"given"\nmodule = "x.py"\npath = "x.pt"'),
    # fields of explainers
    "rows of an explainer below 1": below("rows = 0"),
    "rows of an explainer of 300 digits": below(f"rows = {DIGITS}"),
    "an unknown field of an explainer": below("row = 3"),
    "an explainer for a dataset": below('datasets = ["xor"]'),
    "an explainer of captum that is not there": below('[[explainers]]\nname = "captum:Nothing"'),
    "an explainer of captum without a class": below('[[explainers]]\nname = "captum"'),
    "an explainer of captum with dots": below('[[explainers]]\nname = "captum:os.system"'),
    "an explainer of shap that is not there": below('[[explainers]]\nname = "shap:Nothing"'),
    "samples by the 10^12": below(f'[[explainers]]\nname = "gradient_shap"\nn_samples = {BIG}'),
    "noise without end in an explainer": below('[[explainers]]\nname = "smoothgrad"\nnoise = inf'),
    "trees below 1": below('[[explainers]]\nname = "random_forest"\ntrees = 0'),
    "trees by the 10^12": below(f'[[explainers]]\nname = "random_forest"\ntrees = {BIG}'),
    # further tables
    "retention as a number": above("retention = 3"),
    "retention of no order": below("[retention]\norders = 0"),
    "retention of 10^12 orders": below(f"[retention]\norders = {BIG}"),
    "retention at 0": below("[retention]\nks = [0]"),
    "retention nested": below("[retention]\nks = [[1]]"),
    "retention with a seed of 65 bits": below("[retention]\nseeds = [9223372036854775808]"),
    "retention of few rows": below("[retention]\nrows = 1"),
    "retention of an unknown dataset": below('[retention]\ndatasets = ["ring"]'),
    "retention of an unknown seed": below("[retention]\ndata_seeds = [7]"),
    "retention by an unknown judge": below('[retention]\njudges = ["jury"]'),
    "a judge that is a text": below('[retention]\njudge = "mlp"'),
    "a judge with endless epochs": below("[retention]\njudge = {epochs = inf}"),
    "a judge with an unknown field": below("[retention]\njudge = {epoch = 1}"),
    "no seconds": below("[limits]\nseconds = 0"),
    "endless seconds": below("[limits]\nseconds = inf"),
    "seconds below 0": below("[limits]\nseconds = -1"),
    "seconds as a text": below('[limits]\nseconds = "1 h"'),
    "training without time": below("[limits]\ntraining = 0"),
    "memory without a unit": below('[limits]\nmemory = "2"'),
    "memory below 0": below('[limits]\nmemory = "-2GiB"'),
    "memory of many digits": below(f'[limits]\nmemory = "{DIGITS}GiB"'),
    "memory as a number": below("[limits]\nmemory = 2"),
    "an unknown limit": below("[limits]\nhours = 2"),
    "null runs below 20": below("[calibration]\nruns = 3"),
    "null runs by the million": below("[calibration]\nruns = 1000000"),
    "null runs of an unknown method": below('[calibration]\nexplainers = ["lime"]'),
    "sanity of an unknown network": below('[sanity]\nmodels = ["resnet"]'),
    "sanity as a list": above("sanity = [1]"),
    "entrants that are unknown": below('[entrants]\nexplainers = ["lime"]'),
    "thirteen in a diagram": below(f"[entrants]\ndiagram = {['saliency'] * 13}"),
    "settling below 0": below("[settling]\ndraws = -1"),
    "settling of 300 digits": below(f"[settling]\ndraws = {DIGITS}"),
    "settling as a word": above('settling = "yes"'),
    "cells by the 10^8": seeds(f"{list(range(50_000))}").replace("[[models]]", "[[models]]\nlabel = 'a'")
    + "".join(f'[[explainers]]\nname = "saliency"\nlabel = "s{i}"\n' for i in range(200)),
}  # fmt: skip
