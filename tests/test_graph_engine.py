"""The training step for CUDA graphs against torch's stack: made on the CPU, recorded as on CUDA, and captured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from tests.test_devices import gpu, needs_cuda
from tests.test_engine import ARCHITECTURES, KINDS, data_of, every_architecture
from xai_bench.component import stream_seed
from xai_bench.models import graph_engine, stacked
from xai_bench.models.dropout import dropout_key, keep_masks, keep_masks_of_steps
from xai_bench.models.graph_engine import STEPS_BEFORE, AdamInParts, DeviceStack, GraphEngine
from xai_bench.models.losses import RowWeights, Tensors
from xai_bench.models.mlp import MLP
from xai_bench.models.stack import Adam, Stack, _same_view
from xai_bench.models.streams import Streams, Task
from xai_bench.models.torch_engine import TorchEngine
from xai_bench.models.training import fit_many

WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique", "_to_copy", "item")
"""Operations that would wait for the device, or copy from another one."""


def trained(architecture, kind, seed, engine, monkeypatch, device="cpu", weighted=True, networks=3):
    data, rng = data_of(kind), np.random.default_rng(0)
    masks = np.ones((networks, 12), dtype=bool)
    masks[1, 3:] = masks[2, :7] = False
    weights = RowWeights(rng.exponential(size=192), rng.exponential(size=48)) if weighted else None
    monkeypatch.setattr(stacked, "engine_for", lambda _: engine)
    return fit_many(architecture, data, range(seed, seed + networks), masks, row_weights=weights, device=device)


def assert_same_training(found, expected, rel=3e-6):
    for one, other in zip(found, expected, strict=True):
        assert one.valid_loss == pytest.approx(other.valid_loss, rel=rel)


def test_batches_go_through_one_order_after_the_other():
    task, n, rows = Task(3, (0, 2)), 100, 32
    generator = torch.Generator().manual_seed(stream_seed("batches", 3, (0, 2)))
    expected = torch.cat([torch.randperm(n, generator=generator)[:96].view(3, 32) for _ in range(3)])[:7]
    assert torch.equal(Streams(task, n, rows).batches(7), expected)
    streams = Streams(task, n, rows)
    assert torch.equal(torch.cat([streams.batches(steps) for steps in (1, 3, 2, 1)]), expected)


@pytest.mark.parametrize("first", [0, 5, 2**31 - 2])
def test_masks_of_several_steps_are_those_of_each(first):
    keys = torch.tensor([dropout_key(3, (0, 1), 0), 2**63 - 1, 0])
    drawn = keep_masks_of_steps(keys, first, 7, 5, 9, 0.2)
    for later in range(7):
        assert torch.equal(drawn[later], keep_masks(keys, first + later, 5, 9, 0.2))


@every_architecture
@pytest.mark.parametrize("kind", KINDS)
def test_the_step_is_that_of_the_stack(architecture, kind, monkeypatch):
    if kind == KINDS[1]:  # masks of one step at a time
        monkeypatch.setattr(graph_engine, "MASK_VALUES", 0)
    found = trained(architecture, kind, 0, GraphEngine, monkeypatch)
    assert_same_training(found, trained(architecture, kind, 0, TorchEngine, monkeypatch))


def test_the_shipped_schedule_is_that_of_the_stack(monkeypatch):
    """120 steps: rates to the end of the cosine, whose float32 form is within 6e-8."""
    architecture = MLP(hidden=(16, 8), min_steps=120, epochs=1, checkpoints=4)
    found, expected = (trained(architecture, KINDS[0], 1, e, monkeypatch) for e in (GraphEngine, TorchEngine))
    assert_same_training(found, expected, rel=1e-3)


def test_only_better_networks_are_kept():
    stack = Stack(MLP(hidden=(5, 4)), 3, 6, 2, torch.float32, torch.device("cpu"))
    stack.flat.normal_(generator=torch.Generator().manual_seed(0))
    kept, before = stack.snapshot(), stack.snapshot()
    stack.flat += 1
    running = [tensor.add_(1) for state in stack._norms for tensor in (state.running_mean, state.running_var)]
    stack.keep(kept, torch.tensor([True, False, True]))
    views = [view for state in stack.states for view in state.value.values()]
    pairs = [(_same_view(kept.flat, view), _same_view(before.flat, view), view) for view in views]
    pairs += zip(sum(kept.running, ()), sum(before.running, ()), running, strict=True)
    for found, old, new in pairs:
        for slot, expected in enumerate((new, old, new)):
            assert torch.equal(found[slot], expected[slot])


def test_adam_in_parts_is_adam():
    stacks = [DeviceStack(MLP(), 2, 784, 2, torch.float32, torch.device("cpu")) for _ in range(2)]
    parts, whole = AdamInParts(stacks[0]), Adam(stacks[1])
    assert len(parts._counts) == len(parts._parts[0]) == 36
    for step in range(3):
        for stack, adam in zip(stacks, (parts, whole), strict=True):
            stack.flat_grad.normal_(generator=torch.Generator().manual_seed(step))
            adam.step(torch.tensor(0.01))
    assert torch.equal(stacks[0].flat, stacks[1].flat)


class Recorded(TorchDispatchMode):
    """The operations of a step, with all that a graph would freeze: numbers, shapes, and where outer tensors lie."""

    def __init__(self):
        super().__init__()
        self.operations, self._made_inside = [], {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        flat, _ = tree_flatten((args, kwargs or {}))
        self.operations.append((str(func), tuple(self._frozen(value) for value in flat)))
        result = func(*args, **(kwargs or {}))
        for value in tree_flatten(result)[0]:
            if isinstance(value, torch.Tensor):
                self._made_inside[value.untyped_storage().data_ptr()] = value  # kept, so that no address is used again
        return result

    def _frozen(self, value):
        if not isinstance(value, torch.Tensor):
            return value
        where = value.untyped_storage().data_ptr()
        return tuple(value.shape), "inner" if where in self._made_inside else where


def engine_on_cpu(architecture, kind, m=2, rows=50, weighted=True):
    data, rng = data_of(kind), np.random.default_rng(0)
    weights = RowWeights(rng.exponential(size=192), rng.exponential(size=48)) if weighted else None
    tensors = Tensors(data, torch.float32, torch.device("cpu"), weights)
    columns = [tuple(range(data.d))] * m
    streams = [Streams(Task(seed, columns[0]), len(data.X_train), rows) for seed in range(m)]
    engine = GraphEngine(architecture, tensors, columns, streams, data.d, rows)
    for slot, stream in enumerate(streams):
        engine.load(slot, architecture.build((data.d,), data.n_outputs, stream.init))
    return engine, streams


@every_architecture
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_step_changes_but_numbers_in_tensors(architecture, kind):
    """What a captured graph repeats: the same operations, constants and addresses; none waits for the device."""
    engine, streams = engine_on_cpu(architecture, kind)
    seen = []
    with torch.inference_mode():
        for step in (0, 1, 17, 300):
            engine._index.copy_(torch.stack([s.batches(1)[0] for s in streams]))
            engine._rate.fill_(0.01 / (1 + step))
            engine._take_masks(step)
            with Recorded() as recorded:
                engine._work()
            seen.append(recorded.operations)
    assert all(operations == seen[0] for operations in seen[1:])
    names = {name for name, _ in seen[0]}
    assert not [name for name in names if any(word in name for word in WAITS)]


class Recording:
    """Stands for ``torch.cuda.graph`` on the CPU: what is done inside is undone, as a capture does nothing."""

    made: list[Recording] = []

    def __init__(self, graph, stream, capture_error_mode):
        self.graph = graph
        self.made.append(self)

    def __enter__(self):
        self.held = [(tensor, tensor.clone()) for tensor in self.state()]

    def __exit__(self, *_):
        for tensor, before in self.held:
            tensor.copy_(before)

    def state(self):
        engine = self.graph.engine
        running = [t for s in engine.stack._norms for t in (s.running_mean, s.running_var)]
        return [engine.stack.flat, engine.adam.means, engine.adam.squares, *engine.adam._counts, *running]


@pytest.fixture
def recording(monkeypatch):
    """A GraphEngine on the CPU that captures: the class, and how often it replayed."""
    replays = []

    class Capturing(GraphEngine):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.refused = ""
            monkeypatch.setattr(
                torch.cuda,
                "CUDAGraph",
                lambda: SimpleNamespace(engine=self, replay=lambda: replays.append(1) or self._work()),
            )

    stream = SimpleNamespace(wait_stream=lambda _: None)
    Recording.made = []
    for name, value in {
        "current_stream": lambda _: stream,
        "set_stream": lambda _: None,
        "stream": lambda _: torch.no_grad(),
        "device": lambda _: torch.no_grad(),
        "graph": Recording,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(graph_engine, "stream_of_captures", lambda _: stream)
    return Capturing, replays


def test_some_steps_are_made_then_one_is_captured_and_the_rest_are_replays(recording, monkeypatch):
    capturing, replays = recording
    architecture = ARCHITECTURES["shipped"]
    found = trained(architecture, KINDS[0], 0, capturing, monkeypatch)
    assert len(Recording.made) == 3, "networks of 12, 4 and 8 columns"
    assert len(replays) == 3 * (architecture.steps(192) - STEPS_BEFORE)
    assert_same_training(found, trained(architecture, KINDS[0], 0, TorchEngine, monkeypatch))


def test_where_no_step_can_be_captured_they_are_made_one_by_one(recording, monkeypatch):
    capturing, replays = recording

    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nfurther lines")

    monkeypatch.setattr(Recording, "__enter__", refuse)
    architecture = ARCHITECTURES["shipped"]
    with pytest.warns(RuntimeWarning, match=r"captured as a CUDA graph \(operation not .* capturing\): its kernels"):
        found = trained(architecture, KINDS[0], 0, capturing, monkeypatch)
    assert not replays
    assert_same_training(found, trained(architecture, KINDS[0], 0, TorchEngine, monkeypatch))


def test_stacks_are_as_large_as_the_device_allows(monkeypatch):
    architecture, tensors = (
        MLP(),
        SimpleNamespace(
            device=torch.device("cuda"), n_outputs=2, X_train=torch.zeros(3200, 1), X_valid=torch.zeros(800, 1)
        ),
    )
    for memory, chunk, most in [(80e9, None, 256), (80e9, 16, 16), (2e9, None, 61), (1e6, None, 1)]:
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda _, memory=memory: SimpleNamespace(total_memory=memory)
        )
        found = stacked.most_at_once(architecture, tensors, chunk, 784, 128, False)
        assert found == pytest.approx(most, rel=0.5)
        assert stacked.most_at_once(architecture, tensors, chunk, 784, 128, True) <= found
    here = Tensors(data_of(KINDS[0]), torch.float32, torch.device("cpu"))
    assert stacked.most_at_once(architecture, here, None, 12, 128, True) == 16


def test_which_engine_trains():
    def there(device, dtype):
        return SimpleNamespace(device=torch.device(device), dtype=dtype)

    assert stacked.engine_for(there("cuda", torch.float32)) is GraphEngine
    assert stacked.engine_for(there("cuda", torch.float64)) is TorchEngine
    assert stacked.engine_for(there("cpu", torch.float64)) is TorchEngine
    assert stacked.engine_for(there("cpu", torch.float32)) is stacked.Engine


class Watched(GraphEngine):
    """Remembers the engines that were made."""

    made: list[GraphEngine] = []

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.made.append(self)


@gpu
@needs_cuda
@every_architecture
@pytest.mark.parametrize("kind", KINDS)
def test_a_captured_step_on_cuda_is_that_of_the_stack(architecture, kind, monkeypatch):
    monkeypatch.setattr(Watched, "made", [])
    found = trained(architecture, kind, 0, Watched, monkeypatch, device="cuda")
    assert [(engine.refused, engine._graph is not None) for engine in Watched.made] == [("", True)] * 3
    expected = trained(architecture, kind, 0, TorchEngine, monkeypatch, device="cuda")
    # Twenty steps of Adam on sums in another order, as a product for other companions may have it.
    assert_same_training(found, expected, rel=2e-5)
    for one, other in zip(found, expected, strict=True):
        for name, tensor in other.module.state_dict().items():
            torch.testing.assert_close(one.module.state_dict()[name], tensor, rtol=1e-3, atol=2e-4, msg=name)


@gpu
@needs_cuda
def test_a_stack_for_the_whole_device_trains_what_a_small_one_does(monkeypatch):
    architecture = MLP(hidden=(16, 8), min_steps=60, epochs=1, checkpoints=4)
    data, masks = data_of(KINDS[0]), np.random.default_rng(0).random((40, 12)) < 0.7
    masks[:, 0] = True
    many, few = (fit_many(architecture, data, range(40), masks, device="cuda", chunk=chunk) for chunk in (None, 7))
    assert_same_training(many, few, rel=1e-3)


@gpu
@needs_cuda
def test_where_a_capture_breaks_off_on_cuda_training_goes_on(monkeypatch):
    class Broken(GraphEngine):
        def _work(self):
            super()._work()
            if torch.cuda.is_current_stream_capturing():
                raise RuntimeError("it breaks off")

    architecture = ARCHITECTURES["shipped"]
    with pytest.warns(RuntimeWarning, match="it breaks off"):
        found = trained(architecture, KINDS[0], 0, Broken, monkeypatch, device="cuda")
    assert_same_training(found, trained(architecture, KINDS[0], 0, TorchEngine, monkeypatch, device="cuda"), rel=2e-5)
    assert torch.rand(3, device="cuda").shape == (3,)
