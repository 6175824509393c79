"""Networks that share, alias, tie or compute weights: packed, read back, proven, and made of integers."""

import pytest
import torch
from torch import nn

from quantdg.bench.deploy.integer import build_integer
from quantdg.bench.models.base import DGModel
from quantdg.bench.packed.aliases import aliases_of, read_aliases
from quantdg.bench.packed.file import read_model
from quantdg.bench.packed.proof import prove_packed
from quantdg.bench.packed.size import write_model
from quantdg.core.errors import RecordError
from quantdg.quantizers.acting import idle_sites
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec


class Convolutions(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if kind == "alias":
            self.b = self.a
        if kind == "tied":
            self.b.weight = self.a.weight
        if kind == "float alias":
            self.b.bias = self.a.bias
        if kind == "normed":
            self.stem = nn.utils.parametrizations.weight_norm(self.stem)
        if kind == "dead":
            with torch.no_grad():
                self.stem.weight[:3] = 0
                self.a.weight.zero_()
                self.b.weight.fill_(0.1)

    def forward(self, x):
        x = self.stem(x).relu()
        x = x + self.a(x)
        return self.pool(self.b(x).relu_())


class OneWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.one = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv1d(1, 1, 1)

    def forward(self, x):
        return self.one(self.stem(x).relu().mean((2, 3))[:, None])[:, 0]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        return self.encoder(self.patch(x).flatten(2).transpose(1, 2)).mean(1)


def network(kind):
    torch.manual_seed(0)
    parts = {"tokens": Tokens, "one": OneWeight}
    return DGModel(parts[kind]() if kind in parts else Convolutions(kind), 8, 4)


KINDS = ["alias", "tied", "float alias", "normed", "dead", "one", "tokens"]


@pytest.mark.parametrize("act_bits", [None, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_network_is_what_its_packed_file_says(kind, act_bits, tmp_path):
    trained = network(kind)
    names = set(trained.state_dict())
    x = torch.randn(8, 3, 16, 16)
    quantizer = LSQ(QuantSpec(4, act_bits))
    quantizer.prepare(trained, x)
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.01)
    trained.train()(x).square().sum().backward()
    optimizer.step()
    quantizer.on_step(trained, 1)
    trained.eval()
    assert idle_sites(trained, quantizer.export(trained), x) == {}
    sizes, model = write_model(trained, quantizer, names, tmp_path, "k")
    logits = prove_packed(trained, model, network(kind), x)
    assert read_model(tmp_path / sizes.path).state().keys() == names
    assert all(torch.isfinite(torch.tensor(site.noise_to_signal)) for site in quantizer.audit(trained).sites.values())
    with torch.no_grad():
        integers = build_integer(network(kind), model.state(), model.sites).module
        assert torch.allclose(integers(x), logits, atol=1e-4 if act_bits is None else 0.1)
    codes = {n for n, b in integers.named_buffers(remove_duplicate=False) if b.dtype == torch.int8 and "codes" in n}
    assert len(codes) == {"alias": 3, "tied": 3, "float alias": 3, "normed": 2, "dead": 3, "one": 2, "tokens": 9}[kind]


def test_an_alias_is_stored_once(tmp_path):
    trained = network("alias")
    names = set(trained.state_dict())
    quantizer = LSQ(QuantSpec(4))
    quantizer.prepare(trained, torch.randn(2, 3, 16, 16))
    _, model = write_model(trained, quantizer, names, tmp_path, "k")
    aliases = {"featurizer.b.weight": "featurizer.a.weight", "featurizer.b.bias": "featurizer.a.bias"}
    assert model.aliases == aliases
    assert not aliases.keys() & model.rest.keys()


def test_only_whole_tensors_are_aliases():
    whole = torch.arange(4.0)
    state = {
        "a": whole,
        "b": whole,
        "half": whole[:2],
        "copy": whole.clone(),
        "none": torch.empty(0),
        "no": torch.empty(0),
    }
    assert aliases_of(state, {"b"}) == {"a": "b"}
    assert aliases_of(state, {"a", "b"}) == {}


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '{"a": "c"}', '{"b": "b"}', "[" * 9000])
def test_aliases_that_lie_are_refused(text):
    with pytest.raises(RecordError, match="alias"):
        read_aliases(text, {"b"})
