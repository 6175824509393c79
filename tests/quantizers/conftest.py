"""Training by hand, for nets that are compared with one that a library trains."""

import pytest
import torch


def sgd_step(model, x, rate):
    """One step of plain SGD on the mean square of the output; returns the output before it."""
    optimizer = torch.optim.SGD(model.parameters(), rate)
    optimizer.zero_grad()
    out = model(x)
    out.square().mean().backward()
    optimizer.step()
    return out.detach()


@pytest.fixture
def train():
    """Outputs of the steps on some batches, ``after_step(number)`` called after each."""

    def run(model, batches, *, rate, after_step=lambda step: None):
        outputs = []
        for step, x in enumerate(batches, 1):
            outputs.append(sgd_step(model, x, rate))
            after_step(step)
        return outputs

    return run
