"""A training step reads no value back: on a GPU it would wait for all that was asked before.

The step takes a GPU's ways on the CPU (`quantdg.core.host.HOST` is empty), and every read of a value is noted with the line
of this package that asks for it.
"""

import traceback
from pathlib import Path

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from quantdg.bench.experiment import load as config
from quantdg.bench.step_rules.base import Plain
from quantdg.bench.step_rules.sam import SAM
from quantdg.bench.training import float_phase
from quantdg.bench.transforms.mixstyle import MixStyle
from quantdg.bench.transforms.mixup import Mixup
from quantdg.core import host
from quantdg.core.errors import DivergedError
from quantdg.datasets.augment import apply, draw, get_augmentation, normalise
from quantdg.quantizers.lsq import LSQ

ROOT = Path(__file__).parents[3]
aten = torch.ops.aten
READS = {aten._local_scalar_dense, aten.equal, aten.is_nonzero, aten.nonzero, aten.masked_select, aten._unique2}
CALLS = {torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.item}
ON_THE_PROCESSOR = {
    "bench/algorithms/mldg.py": "the order of domains is drawn on the CPU",
    "bench/transforms/mixup.py": "partners and shares are drawn on the CPU",
    "bench/transforms/mixup_x.py": "partners and shares are drawn on the CPU",
    "bench/transforms/mixstyle.py": "whether to mix is drawn on the CPU",
    "bench/transforms/base.py": "one_hot looks at its input on a CPU only",
    "bench/algorithms/augmix_jsd.py": "chains are drawn on the CPU",
}
"""Files that read values of tensors that lie on the CPU by construction."""

IN_A_LIBRARY = {
    "quantizers/torch_ao.py": "torch.ao's fake quantizer reads its switches",
    "quantizers/torch_ao_learnable.py": "torch.ao's fake quantizer reads its switches",
    "quantizers/torchao_affine.py": "torchao's observer reads a flag",
    "quantizers/torchao_learnable.py": "torch.ao's fake quantizer reads its switches",
}
"""Files whose library waits for a GPU in a step; its modules are taken as they are."""
WHEN_DECIDING = {
    "quantizers/profit.py": "the mean over chosen values, in the first steps, which measure instability",
    "bench/step_rules/gaqat.py": "which scales are frozen decides on the next step's work: once in K steps, each step in FQAT",
}

KNOWN = ON_THE_PROCESSOR | IN_A_LIBRARY | WHEN_DECIDING


def asked_by():
    """The innermost line of this package on the stack."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename).resolve()
        if any(path.is_relative_to(ROOT / part) for part in ("bench", "core", "datasets", "quantizers")):
            return f"{path.relative_to(ROOT)}:{frame.lineno} {frame.line}"
    return "outside"


class Reads(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masks = func.overloadpacket in (aten.index, aten.index_put_, aten.index_put) and any(
            i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]
        )
        if masks or func.overloadpacket in READS:
            self.found.add(asked_by())
        return func(*args, **(kwargs or {}))


class Calls(TorchFunctionMode):
    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in CALLS:
            self.found.add(asked_by())
        return func(*args, **(kwargs or {}))


def reads_of(step):
    """What a step reads, but for what is known, each with its reason above."""
    with Reads() as reads, Calls(reads.found):
        step()
    return sorted(line for line in reads.found if line.partition(":")[0] not in KNOWN)


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(host, "HOST", ())


def test_reads_are_noticed():
    x = torch.ones(3)
    for read in (
        lambda: float(x[0]),
        lambda: bool(x[0] > 0),
        x.cpu,
        x.numpy,
        x.tolist,
        lambda: x[x > 0],
        lambda: torch.equal(x, x),
        x.nonzero,
    ):
        assert reads_of(read) == ["outside"]
    assert reads_of(lambda: x.sum() + x[:2].mean()) == []


def test_no_algorithm_reads_in_a_step(kit, name):
    algorithm = kit["make"](name, quantizer=LSQ, rule=SAM(), transforms=(Mixup(), MixStyle(p=0.9)))
    for number in (1, 2, 3):
        assert reads_of(lambda number=number: kit["step"](algorithm, number)) == []


def test_no_quantizer_reads_in_a_step(prepared, quantizer_name):
    algorithm, quantizer, batches = prepared(quantizer_name)
    for number in (1, 2):
        assert reads_of(lambda: algorithm.update(batches)) == []
        assert reads_of(lambda number=number: quantizer.on_step(algorithm.network, number)) == []


def test_augmentation_and_normalisation_on_a_device_read_nothing():
    x = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)
    draws = draw(get_augmentation("domainbed"), 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert reads_of(lambda: apply(x, draws)) == []
    assert reads_of(lambda: normalise(x, (0.5,) * 3, (0.5,) * 3)) == []


@pytest.mark.parametrize("rule", sorted(path.stem for path in (ROOT / "bench/conf/step_rule").glob("*.yaml")))
def test_no_step_rule_reads_in_a_step(kit, rule):
    algorithm = kit["make"]("erm", quantizer=LSQ, rule=config.load([f"step_rule={rule}"]).step_rule.build())
    for number in (1, 2, 3):
        assert reads_of(lambda number=number: kit["step"](algorithm, number)) == []


def test_a_loss_that_is_not_finite_is_refused_when_it_is_looked_at(kit):
    """A reading CPU says so at once; on a GPU the step goes on, and the next check, snapshot or error says it."""
    algorithm = kit["make"]("erm")
    kit["step"](algorithm, 1)
    algorithm.refuse_divergence()
    with torch.no_grad():
        algorithm.network.classifier.bias[0] = torch.inf
    kit["step"](algorithm, 2)
    kit["step"](algorithm, 3)
    with pytest.raises(DivergedError, match="the training loss is nan"):
        algorithm.refuse_divergence()
    algorithm.refuse_divergence()


def test_an_error_after_a_loss_that_is_not_finite_is_told_as_what_caused_it(cell):
    chosen, data = cell("quantizer=[lsq]")
    algorithm = float_phase.build(chosen.group, data)
    with torch.no_grad():
        algorithm.network.classifier.bias[0] = torch.nan
    algorithm.rule = Breaks()
    with pytest.raises(DivergedError):
        float_phase.train_step(algorithm, data, 1)


class Breaks(Plain):
    def step(self, algorithm, gradients):
        gradients()
        raise RuntimeError("an eigenvalue is not a number")
