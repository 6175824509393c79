"""A training step keeps to the device of its network: tried on tensors that say they lie on a GPU and have no values.

torch computes shapes, types and devices of such tensors as a GPU would, refuses to mix them with the CPU's, and cannot give a
value. Only the backward needs a real GPU; here each parameter gets a gradient of zeros in its place.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.step_rules.base import StepRule
from quantdg.core import host
from quantdg.quantizers import draws
from quantdg.quantizers.lsq import LSQ

NEEDS_A_GPU = {
    "mldg": "reads the order of domains that the CPU draws, which has no values here either",
    "dann": "differentiates within its loss",
    "cdann": "differentiates within its loss",
    "rsc": "differentiates within its loss",
    "ddg_gan": "differentiates within its loss",
    "augmix_jsd": "torchvision's AugMix reads its draws",
    "ddg": "torchvision's AugMix reads its draws",
}
VALUES = {
    "torch_ao": "reads the library's switches",
    "torch_ao_learnable": "reads the library's switches",
    "torchao_affine": "reads the library's flag",
    "torchao_learnable": "reads the library's switches",
    "profit": "compares outputs on calibration images, which have stayed on the CPU here",
    "ewgs": "differentiates within its look at the loss",
}


class NoStep(StepRule):
    """The optimizer holds the real parameters, so it is left out."""

    def step(self, algorithm, gradients):
        return gradients()


def claimed(mode, x):
    with mode:
        return FakeTensor(mode, torch.empty_like(x, device="meta"), torch.device("cuda"))


def claim(mode, algorithm):
    """Replace every parameter and buffer by one that says it lies on a GPU."""
    made = {}
    for module in algorithm.modules():
        for held in (module._parameters, module._buffers):
            for name, x in held.items():
                if x is not None and id(x) not in made:
                    fake = claimed(mode, x.detach())
                    made[id(x)] = torch.nn.Parameter(fake, x.requires_grad) if held is module._parameters else fake
                if x is not None:
                    held[name] = made[id(x)]


@pytest.fixture
def stepped(monkeypatch):
    """Takes a step of an algorithm on a GPU that is not there; returns its terms."""

    def step(algorithm, batches, after=lambda: None):
        monkeypatch.setattr(host, "HOST", ())
        monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: x)
        monkeypatch.setattr(draws, "stream", lambda key, device: None)
        monkeypatch.setattr(Algorithm, "_watch", lambda self, loss: None)
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        claim(mode, algorithm)

        def backward(loss, *args, inputs=None, **kwargs):
            assert loss.device.type == "cuda"
            for p in inputs or algorithm.parameters():
                p.grad = torch.zeros_like(p) if p.requires_grad else None

        monkeypatch.setattr(torch.Tensor, "backward", backward)
        algorithm.rule = NoStep()
        with mode:
            terms = algorithm.update([(claimed(mode, x), claimed(mode, y)) for x, y in batches])
            after()
        return terms

    return step


def test_another_device_is_noticed(kit, stepped):
    algorithm = kit["make"]("erm")
    losses = algorithm.losses
    algorithm.losses = lambda batches: {"loss": losses(batches)["loss"] * torch.ones(3)}
    with pytest.raises(RuntimeError, match="devices"):
        stepped(algorithm, kit["batches"](1))


def test_every_algorithm_keeps_to_one_device(kit, name, stepped):
    if name in NEEDS_A_GPU:
        pytest.skip(NEEDS_A_GPU[name])
    terms = stepped(kit["make"](name, quantizer=LSQ), kit["batches"](1))
    assert {term.device.type for term in terms.values()} == {"cuda"}


def test_every_quantizer_keeps_to_one_device(prepared, quantizer_name, stepped):
    if quantizer_name in VALUES:
        pytest.skip(VALUES[quantizer_name])
    algorithm, quantizer, batches = prepared(quantizer_name)
    terms = stepped(algorithm, batches, after=lambda: quantizer.on_step(algorithm.network, 1))
    assert terms["loss"].device.type == "cuda"
