"""torch.compile over the network of a training step: the same numbers within float rounding, in steps only."""

from dataclasses import replace

import pytest
import torch

from quantdg.bench.training import precision
from quantdg.core.errors import ConfigError


@pytest.fixture
def traced(monkeypatch):
    """The compiler's own tracing and backward, without code generation, which takes seconds; calls are counted."""
    compiler = torch.compile
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(precision.torch, "compile", lambda call: compiler(call, backend="aot_eager"))
    return torch._dynamo.utils.counters


@pytest.mark.parametrize("quantizer_name", ["float", "lsq"])
def test_fake_quantizers_are_traced_whole_and_give_the_same_steps(prepared, traced, quantizer_name):
    trained = []
    for compiled in (False, True):
        algorithm, quantizer, batches = prepared(quantizer_name)
        computing = precision.Computing(algorithm.network, "fp32", compiled)
        for step in (1, 2, 3):
            with computing():
                algorithm.update(batches)
            quantizer.on_step(algorithm.network, step)
        trained.append(dict(algorithm.network.named_parameters()))
    assert traced["stats"]["unique_graphs"] >= 1
    assert not traced["graph_break"]
    for name, expected in trained[0].items():
        assert torch.allclose(trained[1][name], expected, rtol=1e-4, atol=1e-6), name


def test_what_is_evaluated_is_not_compiled(prepared, traced):
    algorithm, _, batches = prepared("lsq")
    x = batches[0][0]
    expected = algorithm.predict(x)
    with precision.Computing(algorithm.network, "fp32", compiled=True)():
        algorithm.predict(x)
    graphs = traced["stats"]["unique_graphs"]
    algorithm.eval()
    assert torch.equal(algorithm.predict(x), expected)
    assert traced["stats"]["unique_graphs"] == graphs


def test_bf16_is_compiled_too(prepared, traced):
    algorithm, _, batches = prepared("lsq")
    with precision.Computing(algorithm.network, "bf16")():
        expected = algorithm.predict(batches[0][0])
    with precision.Computing(algorithm.network, "bf16", compiled=True)():
        logits = algorithm.predict(batches[0][0])
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, expected, atol=0.05)
    assert not traced["graph_break"]


def test_compile_is_part_of_the_identity_where_it_is_true(cell):
    chosen, _ = cell("quantizer=[lsq]")
    protocol = chosen.group.protocol
    assert "compile" not in protocol.settings
    assert replace(protocol, compile=True).settings == {**protocol.settings, "compile": True}


@pytest.mark.parametrize(
    ("device", "what"),
    [("cpu", r"needs a C\+\+ compiler, g\+\+ or what CXX names"), ("cuda", "needs the package triton")],
)
def test_a_missing_compiler_is_refused(monkeypatch, device, what):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"protocol.compile=true {what}, which is not there; install it or write"):
        precision.check_compiler(device)


@pytest.mark.slow
@pytest.mark.parametrize("quantizer_name", ["float", "lsq"])
def test_generated_code_gives_the_same_step_within_float_rounding(prepared, quantizer_name):
    terms = []
    for compiled in (False, True):
        algorithm, _, batches = prepared(quantizer_name)
        with precision.Computing(algorithm.network, "fp32", compiled)():
            terms.append(float(algorithm.update(batches)["loss"]))
            terms.append(float(algorithm.update(batches)["loss"]))
    assert terms[2:] == pytest.approx(terms[:2], rel=1e-5)
