"""What a step costs on a GPU: against a bare loop, against float, against the card, and whether the data keeps up."""

import time
from statistics import median

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec

WARM_UP = 5


def wait(device):
    if device != "cpu":
        torch.cuda.synchronize()


def seconds(step, device, steps):
    """Median over three rounds of the seconds of a step."""
    for _ in range(WARM_UP if steps > WARM_UP else 1):
        step()
    rounds = []
    for _ in range(3):
        wait(device)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        wait(device)
        rounds.append((time.perf_counter() - began) / steps)
    return median(rounds)


def bare_loop(training, device):
    """A step as one writes it by hand: one batch that lies on the device, autocast, Adam."""
    made = training()
    network, optimizer = made.algorithm.network, made.algorithm.optimizer
    batches = made.data.batches(1)
    x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            loss = F.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()

    return step


def test_a_float_step_against_a_bare_loop(training, device, size, row, dry):
    bare = seconds(bare_loop(training, device), device, size.steps)
    ours = seconds(training().step, device, size.steps)
    row("float step, data and augmentation included, over a bare torch loop on one batch", f"{ours / bare:.3f}", "1.05")
    row("the same in milliseconds", f"{1000 * ours:.1f} / {1000 * bare:.1f}")
    assert dry or ours / bare < 1.05


@pytest.mark.parametrize("act_bits", [None, 8])
def test_an_lsq_step_against_a_float_step(training, device, size, row, dry, act_bits):
    spec = QuantSpec(7, act_bits)
    plain = seconds(training().step, device, size.steps)
    lsq = seconds(training(quantizer=LSQ(spec)).step, device, size.steps)
    aim = "1.05" if act_bits is None else ""
    row(f"LSQ step ({spec.label}) over float step, bf16", f"{lsq / plain:.3f}", aim)
    assert dry or not aim or lsq / plain < 1.05


def test_the_data_keeps_up(training, device, size, row, dry):
    """Batches alone, augmented on the device, against the step that trains on them."""
    made = training()
    number = iter(range(1, 10**6))
    data = seconds(lambda: made.data.batches(next(number)), device, size.steps)
    step = seconds(made.step, device, size.steps)
    images = 3 * size.batch
    row("images/s that the data gives alone, over those that a float step takes", f"{step / data:.1f}", "above 1")
    row("images/s: data alone / float step, bf16", f"{images / data:.0f} / {images / step:.0f}")
    assert dry or data < step


def product_rate(device, size):
    """Floating-point operations a second of a large bf16 product."""
    a = torch.randn(size.product, size.product, device=device, dtype=torch.bfloat16)
    took = seconds(lambda: a @ a, device, 10)
    return 2 * size.product**3 / took


def bandwidth(device, size):
    """Bytes a second of a copy, read and written."""
    x = torch.empty(4 * size.product**2, device=device, dtype=torch.uint8)
    y = torch.empty_like(x)
    return 2 * x.numel() / seconds(lambda: y.copy_(x), device, 10)


@torch.no_grad()
def bound(network, x, rate, speed):
    """Seconds that products of a step need at least: each convolution at the card's rate or bandwidth, whichever takes longer.

    A backward is two products of the size of the forward's, on as many bytes. What can be fused into products counts nothing.
    """
    total = 0.0

    def add(layer, args, out):
        nonlocal total
        weight = layer.weight
        flops = 2 * out.numel() * weight[0].numel()
        moved = 2 * (args[0].numel() + out.numel() + weight.numel())
        total += 3 * max(flops / rate, moved / speed)

    handles = [m.register_forward_hook(add) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network(x)
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize(("name", "quantizer"), [("float", None), ("LSQ W7", LSQ)])
def test_a_compiled_step_against_the_roofline(training, device, size, row, dry, name, quantizer):
    rate, speed = product_rate(device, size), bandwidth(device, size)
    made = training(compiled=not dry, quantizer=quantizer and quantizer())
    x = torch.cat([x for x, _ in made.data.batches(1)])
    least = bound(made.algorithm.network, x, rate, speed)
    took = seconds(made.step, device, size.steps)
    if quantizer is None:
        row("bf16 products, TFLOP/s; copies, GB/s", f"{rate / 1e12:.0f}; {speed / 1e9:.0f}")
    images = len(x) / took
    row(f"{name}, compiled, {size.arch} at {size.pixels} px: images/s", f"{images:.0f}")
    aim = "60 %" if quantizer is None else ""
    row(f"{name}, compiled: share of the roofline of its convolutions", f"{100 * least / took:.0f} %", aim)
    assert dry or quantizer or least / took > 0.6
