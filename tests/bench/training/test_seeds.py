"""What makes equal settings give equal bits."""

import pytest
import torch

from quantdg.bench.training.seeds import use_deterministic


@pytest.fixture
def kernels():
    """Put torch's global settings back."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    torch.utils.deterministic.fill_uninitialized_memory = filled


@pytest.mark.usefixtures("kernels")
def test_fresh_memory_is_not_filled_which_costs_as_much_as_a_step_writes():
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # torch's own default
    assert torch.empty(1000).isnan().all()
    use_deterministic(1)
    assert torch.are_deterministic_algorithms_enabled()
    kept = torch.full((1000,), 3.0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        torch.empty_like(kept)
    assert "aten::fill_" not in {event.key for event in seen.key_averages()}
