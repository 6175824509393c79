"""Cost of a training step, each quantizer against float, and each adapter against its backend used directly.

All contenders take turns in one run and the figure is the median over rounds of the ratio within a round, so that a
machine that slows down slows all of them. Aims on a quiet machine: LSQ at most 1.05 times the float step, an adapter
at most 1.05 times its backend. The asserted bounds only guard against a blunder; the figures are in
``benchmark.extra_info``. Run with: pytest -m speed tests/quantizers/test_speed.py --benchmark-json=speed.json
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18

from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.float_ import Float
from quantdg.quantizers.freeze import Freeze
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.nni_lsq import NNILSQ
from quantdg.quantizers.nni_qat import NNIQAT
from quantdg.quantizers.pact import PACT
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao import TorchAO, weight_settings
from quantdg.quantizers.torch_ao_learnable import TorchAOLearnable
from quantdg.quantizers.uniform_noise import UniformNoise

pytestmark = [pytest.mark.speed, pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated")]

ROUNDS, BATCH, SIZE, THREADS = 5, 96, 64, 2
GUARD = 3.0
Step = Callable[[], None]

QUANTIZERS: dict[str, Callable[[], Quantizer]] = {
    "float": Float,
    "lsq": LSQ,
    "torch_ao": TorchAO,
    "torch_ao_learnable": TorchAOLearnable,
    "freeze": Freeze,
    "round_freeze": RoundFreeze,
    "uniform_noise": UniformNoise,
    "pact": partial(PACT, QuantSpec(7, 8)),
    "lsq_w7a8": partial(LSQ, QuantSpec(7, 8)),
}
if find_spec("nni"):
    QUANTIZERS |= {"nni_qat": NNIQAT, "nni_lsq_paper": partial(NNILSQ, init="paper")}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.featurizer = resnet18(weights=None)
        self.featurizer.fc = nn.Identity()
        self.classifier = nn.Linear(512, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.featurizer(x))


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def training_step(net: nn.Module, after: Callable[[], Tensor | None] = lambda: None) -> Step:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(BATCH, 3, SIZE, SIZE, generator=generator), torch.arange(BATCH) % 7
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), 5e-5)

    def step() -> None:
        optimizer.zero_grad()
        loss, penalty = F.cross_entropy(net(x), labels), after()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()

    return step


def under(make: Callable[[], Quantizer]) -> Step:
    torch.manual_seed(0)
    net, quantizer = Net(), make()
    quantizer.prepare(net, torch.randn(4, 3, SIZE, SIZE))
    train, count = training_step(net, lambda: quantizer.penalty(net)), [0]

    def step() -> None:
        train()
        count[0] += 1
        quantizer.on_step(net, count[0])

    return step


def take_turns(contenders: dict[str, Step]) -> list[dict[str, float]]:
    """Seconds of a step of each contender, for each round after a warm-up."""
    rounds = []
    for _ in range(ROUNDS + 1):
        times = {}
        for name, step in contenders.items():
            began = time.perf_counter()
            step()
            times[name] = time.perf_counter() - began
        rounds.append(times)
    return rounds[1:]


def ratio(rounds: list[dict[str, float]], name: str, reference: str) -> float:
    return median(times[name] / times[reference] for times in rounds)


def test_a_step_of_each_quantizer_against_float(benchmark):
    contenders = {name: under(make) for name, make in QUANTIZERS.items()}
    rounds = take_turns(contenders)
    ratios = {name: ratio(rounds, name, "float") for name in contenders}
    benchmark.extra_info |= {"ratio_to_float": ratios, "float_s": median(r["float"] for r in rounds)}
    benchmark.pedantic(contenders["lsq"], rounds=1)
    print({name: round(value, 3) for name, value in ratios.items()})
    assert max(ratios.values()) < GUARD, ratios


def torch_ao_directly() -> Step:
    """torch.ao's own QAT convolutions, weights only, with the fake quantizer that the adapter uses."""
    from torch.ao.nn.qat import Conv2d  # noqa: PLC0415
    from torch.ao.quantization import FakeQuantize, QConfig  # noqa: PLC0415

    torch.manual_seed(0)
    net = Net()
    site = QuantSpec().site("any")
    qconfig = QConfig(activation=nn.Identity, weight=FakeQuantize.with_args(**weight_settings(site)))
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.qconfig = qconfig
            net.set_submodule(name, Conv2d.from_float(module))
    return training_step(net.train())


def nni_directly() -> Step:
    """The model wrapped by NNI, in our loop."""
    from nni.compression.quantization import QATQuantizer  # noqa: PLC0415

    torch.manual_seed(0)
    net = Net()
    settings = {"quant_dtype": "int7", "quant_scheme": "symmetric", "granularity": "out_channel"}
    QATQuantizer(net, [{"op_types": ["Conv2d"], "target_names": ["weight"], **settings}], None)
    return training_step(net)


def test_adapters_against_their_backends_used_directly(benchmark):
    pairs = {"torch_ao": (TorchAO, torch_ao_directly)}
    if find_spec("nni"):
        pairs["nni_qat"] = (NNIQAT, nni_directly)
    contenders: dict[str, Step] = {}
    for name, (make, directly) in pairs.items():
        contenders |= {name: under(make), f"{name} directly": directly()}
    rounds = take_turns(contenders)
    ratios = {name: ratio(rounds, name, f"{name} directly") for name in pairs}
    benchmark.extra_info |= {"ratio_to_backend": ratios}
    benchmark.pedantic(contenders["torch_ao"], rounds=1)
    print({name: round(value, 3) for name, value in ratios.items()})
    assert max(ratios.values()) < GUARD, ratios
