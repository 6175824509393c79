"""Every algorithm on a small network, with or without the other parts of an update."""

import pytest
import torch

from quantdg.bench.algorithms.arm import ARM
from quantdg.bench.algorithms.augmix_jsd import AugMixJSD
from quantdg.bench.algorithms.cdann import CDANN
from quantdg.bench.algorithms.coral import CORAL
from quantdg.bench.algorithms.dann import DANN
from quantdg.bench.algorithms.ddg import DDG
from quantdg.bench.algorithms.ddg_gan import DDGGAN
from quantdg.bench.algorithms.eqrm import EQRM
from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.algorithms.fish import Fish
from quantdg.bench.algorithms.fishr import Fishr
from quantdg.bench.algorithms.groupdro import GroupDRO
from quantdg.bench.algorithms.irm import IRM
from quantdg.bench.algorithms.mldg import MLDG
from quantdg.bench.algorithms.mmd import MMD
from quantdg.bench.algorithms.mtl import MTL
from quantdg.bench.algorithms.rsc import RSC
from quantdg.bench.algorithms.sagnet import SagNet
from quantdg.bench.algorithms.sd import SD
from quantdg.bench.algorithms.vrex import VREx
from quantdg.bench.experiment.protocol import train_mode
from quantdg.bench.models.convnet import convnet
from quantdg.bench.training.seeds import seed_everything
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.quantizers.torch_ao import TorchAO

DOMAINS, CLASSES = 3, 4
SPEC = QuantSpec(weight_bits=4, act_bits=8, rules=(Rule("classifier*", skip=True),))
ALGORITHMS = {
    "erm": (ERM, {}),
    "coral": (CORAL, {}),
    "mmd": (MMD, {}),
    "irm": (IRM, {"anneal": 2}),
    "vrex": (VREx, {"anneal": 2}),
    "fishr": (Fishr, {"anneal": 2}),
    "groupdro": (GroupDRO, {}),
    "sd": (SD, {}),
    "rsc": (RSC, {}),
    "dann": (DANN, {"gradient_penalty": 0.1}),
    "sagnet": (SagNet, {}),
    "mldg": (MLDG, {}),
    "fish": (Fish, {}),
    "eqrm": (EQRM, {"burn_in": 2, "lr": 1e-3}),
    "augmix_jsd": (AugMixJSD, {}),
    "ddg": (DDG, {"width": 2}),
    "ddg_gan": (DDGGAN, {"width": 2, "gan_steps": 1}),
    "mtl": (MTL, {}),
    "arm": (ARM, {"support": 3, "width": 2}),
    "cdann": (CDANN, {"gradient_penalty": 0.1}),
}


def adam(params):
    return torch.optim.Adam(params, lr=3e-3, fused=True)


def batches(step, domains=DOMAINS, size=6):
    generator = torch.Generator().manual_seed(step)
    return [
        (torch.randn(size, 3, 8, 8, generator=generator), torch.randint(0, CLASSES, (size,), generator=generator))
        for _ in range(domains)
    ]


def insert(algorithm, quantizer=TorchAO):
    """As the harness does at the start step; TorchAO by default, because its ranges move in training."""
    example = torch.cat([x for x, _ in batches(0)])
    chosen = quantizer(SPEC)
    chosen.prepare(algorithm.network, example)
    chosen.calibrate(algorithm.network, [example])
    for group in chosen.param_groups(algorithm.network, 3e-3):
        algorithm.add_quantizer_group(group)
    algorithm.penalty = lambda: chosen.penalty(algorithm.network)
    return chosen


def make(name, quantizer=None, rule=None, transforms=()):
    torch.manual_seed(0)
    kind, options = ALGORITHMS[name]
    network = convnet((3, 8, 8), CLASSES, width=4)
    network.featurizer.append(torch.nn.Dropout(0.3))
    algorithm = kind(network, DOMAINS, adam, **options)
    for transform in transforms:
        algorithm.add_transform(transform)
    if rule is not None:
        algorithm.rule = rule
    if quantizer is not None:
        insert(algorithm, quantizer)
    train_mode(algorithm, freeze_bn=False)
    return algorithm


def step(algorithm, number):
    seed_everything(number)
    return algorithm.update(batches(number))


@pytest.fixture
def kit():
    """The functions above, for tests that cannot import a file next to them."""
    return {"make": make, "step": step, "batches": batches, "insert": insert, "adam": adam, "names": tuple(ALGORITHMS)}


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", ALGORITHMS)
