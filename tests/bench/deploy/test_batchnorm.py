"""Which BatchNorm may be folded into which layer."""

import pytest
import torch
from torch import nn

from quantdg.bench.deploy.batchnorm import affine, following


def convolutions(network):
    return [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(("arch", "pairs"), [("convnet", 3), ("resnet18", 20), ("mobilenet_v2", 52), ("squeezenet", 0)])
def test_networks(trained, arch, pairs):
    network = trained(arch, size=32, count=2).network
    assert len(following(network, convolutions(network))) == pairs


def test_resnet_downsampling(trained):
    network = trained("resnet18", size=32, count=2).network
    found = following(network, convolutions(network))
    assert found["featurizer.layer2.0.downsample.0"] == "featurizer.layer2.0.downsample.1"
    assert found["featurizer.conv1"] == "featurizer.bn1"


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.conv, self.other, self.bn, self.kind = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), kind

    def forward(self, x):
        y = self.conv(x)
        if self.kind == "output used twice":
            return self.bn(y) + y
        if self.kind == "layer called twice":
            return self.bn(y) + self.conv(x + 1)
        if self.kind == "shared batchnorm":
            return self.bn(y) + self.bn(self.other(x))
        if self.kind == "weight read":
            return self.bn(y) * self.conv.weight.sum()
        if self.kind == "control flow":
            return self.bn(y) if x.sum() > 0 else y
        return self.bn(y)


@pytest.mark.parametrize(
    "kind", ["output used twice", "layer called twice", "shared batchnorm", "weight read", "control flow"]
)
def test_no_pair_where_folding_would_change_another_path(kind):
    assert following(Net("plain").eval(), ["conv"]) == {"conv": "bn"}
    assert following(Net(kind).eval(), ["conv"]) == {}


def test_no_pair_for_a_batchnorm_that_is_more_or_not_fixed():
    class WithActivation(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).relu()

    special = Net("plain")
    special.bn = WithActivation(3)
    assert following(special.eval(), ["conv"]) == {}
    assert following(Net("plain").train(), ["conv"]) == {}
    special.bn = nn.BatchNorm2d(3, track_running_stats=False)
    assert following(special.eval(), ["conv"]) == {}


@pytest.mark.parametrize("options", [{}, {"affine": False}])
def test_factor_and_shift(options):
    bn = nn.BatchNorm2d(3, **options).double()
    bn.running_mean.copy_(torch.tensor([1.0, -2.0, 0.5]))
    bn.running_var.copy_(torch.tensor([4.0, 0.25, 1.0]))
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    factor, shift = affine(bn)
    torch.testing.assert_close(x * factor.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1), bn.eval()(x))
