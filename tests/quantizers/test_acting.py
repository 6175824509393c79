"""No site without proof that it acts: weights read without calling the layer, attention, fused paths, tied weights."""

import copy
import io
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from quantdg.core.errors import QuantizerError
from quantdg.quantizers.acting import idle_sites
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.export import SiteExport
from quantdg.quantizers.inq import INQ
from quantdg.quantizers.insertion import latent_parameter, sites_of
from quantdg.quantizers.layers import choose
from quantdg.quantizers.lsq import LSQ, LSQQuant
from quantdg.quantizers.pact import PACT
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.quantizers.torch_ao import TorchAO
from quantdg.quantizers.uniform_noise import UniformNoise


class Reader(nn.Module):
    """Reads a weight as Swin and BEiT do, beside a layer that is called and one that is not used."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj, self.unused = nn.Linear(8, 8), nn.Linear(8, 4), nn.Linear(8, 8)

    def forward(self, x):
        return self.proj(F.linear(x, self.qkv.weight, self.qkv.bias).relu())


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


def made(make, seed=0):
    torch.manual_seed(seed)
    return make()


def unmoved(model, x):
    """Sites whose scale can be multiplied by 50 without a change of the eval output."""
    model.eval()
    still = []
    with torch.no_grad():
        before = model(x)
        for name, site in sites_of(model):
            scale = site.weight_quant.step_size
            kept = scale.clone()
            scale.mul_(50)
            if torch.equal(model(x), before):
                still.append(name)
            scale.copy_(kept)
    return still


X, TOKENS = torch.randn(4, 8), torch.randn(4, 3, 8)


@pytest.mark.parametrize(("make", "x", "count"), [(Reader, X, 2), (Encoder, TOKENS, 9)])
def test_every_site_reaches_the_output(make, x, count):
    model = made(make)
    quantizer = LSQ(QuantSpec(2, rules=()))
    plan = quantizer.prepare(model, x)
    assert len(plan.sites) == count
    assert unmoved(model, x) == []
    assert idle_sites(model, quantizer.export(model), x) == {}


def test_an_input_that_is_not_reached_stays_float_with_the_reason():
    model = made(Reader)
    plan = LSQ(QuantSpec(4, 8, rules=())).prepare(model, X)
    assert [(s.name, s.act_bits) for s in plan.sites] == [("qkv", None), ("proj", 8)]
    assert [s.name for s in plan.float_inputs] == ["qkv"]
    assert "without calling the layer" in plan.float_inputs[0].reason
    assert plan.skipped == (("unused", "no evaluation forward reads this weight"),)
    assert type(model.unused) is nn.Linear
    assert not any(name.startswith(("unused.", "qkv.act_quant")) for name in plan.parameters)


@pytest.mark.parametrize("make", [LSQ, PACT, TorchAO, INQ, RoundFreeze, UniformNoise])
def test_methods_agree_with_a_float_twin_on_attention(make):
    model, twin = made(Encoder), made(Encoder).eval()
    inputs = make is PACT
    quantizer = make(QuantSpec(4, 8 if inputs else None, rules=(Rule("*.linear*", skip=True), Rule("head", skip=True))))
    quantizer.prepare(model, TOKENS)
    quantizer.calibrate(model, [TOKENS])
    penalty = quantizer.penalty(model)
    (model.train()(TOKENS).square().mean() + (0 if penalty is None else penalty)).backward()
    quantizer.on_step(model, 1)
    sites = quantizer.export(model)
    assert len(sites) == (0 if make is UniformNoise else 4)
    assert quantizer.audit(model).sites.keys() == dict(sites_of(model)).keys()
    for name, site in sites.items():
        twin.get_parameter(site.key(name)).data.copy_(site.weight.dequantize())
    with torch.no_grad():
        expected = twin(TOKENS)
        assert torch.allclose(model.eval()(TOKENS), expected, atol=1e-5)


def test_separate_projections_of_attention_are_sites():
    class Cross(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, kdim=4, vdim=6, batch_first=True)

        def forward(self, x):
            return self.attention(query=x, key=x[..., :4], value=x[..., :6])[0]

    model = made(Cross)
    quantizer = LSQ(QuantSpec(3, 8, rules=(Rule("*.k_proj_weight", skip=True),)))
    plan = quantizer.prepare(model, TOKENS)
    names = ["attention.q_proj_weight", "attention.v_proj_weight", "attention.out_proj"]
    assert [s.name for s in plan.sites] == names
    assert [s.key for s in plan.sites][-1] == "attention.out_proj.weight"
    assert idle_sites(model, quantizer.export(model), TOKENS) == {}
    sites = quantizer.audit(model).sites
    assert all(sites[name].scale_moved == 0.0 for name in names)


def test_what_torch_does_with_modules_still_works():
    model = made(Encoder)
    parameters = dict(model.named_parameters())
    keys = set(model.state_dict())
    quantizer = LSQ(QuantSpec(4, rules=()))
    quantizer.prepare(model, TOKENS)
    after = dict(model.named_parameters())
    assert all(after[name] is p for name, p in parameters.items())
    assert keys <= set(model.state_dict())
    expected = model.eval()(TOKENS)
    fresh = made(Encoder, seed=1)
    LSQ(QuantSpec(4, rules=())).prepare(fresh, TOKENS)
    fresh.load_state_dict(model.state_dict(), strict=True)
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    assert torch.equal(fresh.eval()(TOKENS), expected)
    assert torch.equal(copy.deepcopy(model)(TOKENS), expected)
    assert torch.equal(torch.load(stream, weights_only=False)(TOKENS), expected)
    moved = {name: p.detach() + 0.1 for name, p in after.items() if name in parameters}
    assert not torch.equal(functional_call(model, moved, (TOKENS,)), expected)
    assert torch.equal(model(TOKENS), expected)
    model.head.weight = nn.Parameter(torch.zeros_like(model.head.weight))
    assert latent_parameter(model, "head.weight").abs().sum() == 0 == model.head.weight.abs().sum()


def test_an_error_inside_a_fake_quantizer_is_not_hidden_by_the_float_weight():
    class Broken(LSQQuant):
        def forward(self, x):
            return super().forward(x) if self.calibrating else self.no_such_attribute

    class Method(LSQ):
        def weight_quantizer(self, weight, site):
            return Broken(site.weight_bits)

    model = made(Reader)
    Method(QuantSpec(4, rules=())).prepare(model, X)
    with pytest.raises(QuantizerError, match="no_such_attribute"):
        model(X)


def test_tied_layers_share_their_fake_quantizer():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Embedding(8, 8)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x).relu())

    model = made(Tied)
    quantizer = LSQ(QuantSpec(3, 8, rules=()))
    plan = quantizer.prepare(model, X)
    assert [s.name for s in plan.sites] == ["a", "b"]
    assert model.a.weight_quant is model.b.weight_quant
    assert model.a.act_quant is not model.b.act_quant
    optimizer = torch.optim.SGD([{"params": model.parameters(), "lr": 0.1}])
    model.train()(X).square().sum().backward()
    optimizer.step()
    codes = [site.weight.codes for site in quantizer.export(model).values()]
    assert torch.equal(*codes)
    for rule in (Rule("b", skip=True), Rule("b", weight_bits=4)):
        sites, skipped = choose(made(Tied), QuantSpec(3, rules=(rule,)))
        assert sites == []
        assert ("a", "its weight is also b.weight, which is not quantized in the same way") in skipped
    model = made(Tied)
    model.c.weight = model.a.weight
    sites, skipped = choose(model, QuantSpec(3, rules=()))
    assert sites == []
    assert skipped[0] == ("a", "its weight is also c.weight, which is not quantized in the same way")


class LyingLinear(nn.Linear):
    def forward(self, x):
        acts = self.mode in {"both", "training" if self.training else "evaluation"}
        return F.linear(x, self.value if acts else self.weight, self.bias)


class Lying(Quantizer):
    """A stranger's way of insertion, which acts in the modes that it is told."""

    name, reference, meaning = "lying", "none", "doing nothing"

    def __init__(self, mode):
        super().__init__(QuantSpec(4))
        self.mode = mode

    def prepare(self, model, example):
        own = LSQ(QuantSpec(4, rules=()))
        own.prepare(copied := copy.deepcopy(model), example)
        self.sites = own.export(copied)
        for name, site in self.sites.items():
            layer = model.get_submodule(name)
            layer.__class__, layer.value, layer.mode = LyingLinear, site.weight.dequantize(), self.mode
        return self.plan

    def audit(self, model):
        return SimpleNamespace(sites={})

    def export(self, model):
        return self.sites


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("both", None),
        ("training", "evaluation multiplies"),
        ("evaluation", "training multiplies"),
        ("none", "float weight"),
    ],
)
def test_a_strangers_quantizer_that_does_not_act_is_found(mode, message):
    model = made(lambda: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)))
    quantizer = Lying(mode)
    quantizer.prepare(model, X)
    idle = idle_sites(model, quantizer.export(model), X)
    assert set(idle) == (set() if mode == "both" else {"0", "2"}), idle
    assert all(message in reason for reason in idle.values()), idle


def test_an_export_that_is_not_computed_with_is_found():
    model = made(lambda: nn.Sequential(nn.Linear(8, 4)))
    quantizer = LSQ(QuantSpec(4, rules=()))
    quantizer.prepare(model, X)
    (site,) = quantizer.export(model).values()
    other = SiteExport(type(site.weight)(site.weight.codes + 1, site.weight.scale, site.weight.zero_point, 4, axis=0))
    assert idle_sites(model, {"0": other}, X) == {"0": "no operator gets the weight that is exported"}


class Parts(nn.Module):
    """One network for each way of multiplying by a weight, or of leaving a layer out, that is not the usual one."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.a, self.b = kind, nn.Linear(8, 8), nn.Linear(8, 4)
        if kind == "recurrent":
            self.a = nn.LSTM(8, 8)
        if kind == "transposed":
            self.a = nn.ConvTranspose1d(8, 8, 1)
        if kind == "own":
            self.a = nn.Module()
            self.a.w = nn.Parameter(torch.randn(8, 8))
        if kind == "double":
            self.b = self.b.double()
        if kind == "dropped":
            self.a = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

    def forward(self, x):
        return self.b(getattr(self, f"run_{self.kind}", self.a)(x).to(self.b.weight.dtype)).float()

    def run_recurrent(self, x):
        return self.a(x[None])[0][0]

    def run_transposed(self, x):
        return self.a(x[..., None])[..., 0]

    def run_own(self, x):
        return x @ self.a.w

    def run_past(self, x):
        return F.linear(x, next(self.a.parameters()))

    @torch.no_grad()
    def run_frozen(self, x):
        return self.a(x)

    def run_dropped(self, x):
        for layer in self.a:
            if not self.training or torch.rand(()) < 0.5:
                x = x + layer(x)
        return x


ONLY = "those of nn.Conv1d to Conv3d, nn.Linear and nn.MultiheadAttention are quantized"
LEFT = [
    ("recurrent", dict.fromkeys(("a.weight_hh_l0", "a.weight_ih_l0"), f"it is a weight of LSTM; {ONLY}")),
    ("transposed", {"a": f"it is a weight of ConvTranspose1d; {ONLY}"}),
    ("own", {"a.w": f"it is a weight of Module; {ONLY}"}),
    ("past", {"a": "the forward does not read this weight from its layer but past it, as from a list of parameters"}),
    ("double", {"b": "weights must be float32 to be quantized, this one is torch.float64"}),
]


@pytest.mark.parametrize(("kind", "left"), LEFT)
def test_no_weight_that_is_multiplied_with_stays_float_unnamed(kind, left):
    model = made(lambda: Parts(kind))
    quantizer = LSQ(QuantSpec(4, 8, rules=()))
    plan = quantizer.prepare(model, X)
    assert dict(plan.skipped) == left
    assert [site.name for site in plan.sites] == (["a"] if kind == "double" else ["b"])
    assert idle_sites(model, quantizer.export(model), X) == {}


@pytest.mark.parametrize(("kind", "count"), [("frozen", 2), ("dropped", 5)])
def test_a_site_acts_without_a_gradient_and_by_chance(kind, count):
    """A frozen part under no_grad, and layers that a training forward leaves out at random, are no idle sites."""
    model = made(lambda: Parts(kind))
    quantizer = LSQ(QuantSpec(4, 8, rules=()))
    quantizer.prepare(model, X)
    before = torch.get_rng_state()
    assert idle_sites(model, sites := quantizer.export(model), X) == {}
    assert torch.equal(torch.get_rng_state(), before)
    assert len(sites) == count
