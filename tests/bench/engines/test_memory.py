"""A batch that cannot fit is refused before a process grows until the kernel kills it, and nothing that fits is."""

import pytest
import torch
from torch import nn

from quantdg.bench.engines import memory
from quantdg.bench.engines.memory import check_memory, kept_bytes, refuse_large_networks
from quantdg.bench.sweep.session import load_and_plan, plan_run, run_experiment
from quantdg.bench.training.data import load_dataset
from quantdg.core.errors import ConfigError


def check(experiment, cells=1):
    (setup,) = experiment.setups
    outline = load_dataset(setup.dataset, experiment.paths).outline
    check_memory(setup, outline, experiment.launcher, cells)


def test_what_autograd_keeps_is_counted_by_hand():
    """A linear layer keeps its input (8 numbers), tanh its output (5); weights are kept once, whatever the batch."""
    network = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3))
    images = nn.Sequential(nn.Flatten(), network)
    assert kept_bytes(images, (2, 2, 2)) == pytest.approx(4 * (8 + 5))
    assert kept_bytes(nn.Linear(7, 5), (2, 2, 2)) == 0
    assert images.training


def test_a_huge_batch_is_refused_before_anything_is_written(quick):
    experiment = quick("protocol.batch_size=100000000", "quantizer=[float]")
    for start in (plan_run, run_experiment):
        with pytest.raises(ConfigError, match=r"a step of 700000000 images needs at least \S+ GB, and .* GB are free"):
            start(experiment)
    assert len(list(experiment.paths.out.glob("cells/*"))) == 0


def test_batches_for_calibration_are_there_at_once(quick, monkeypatch):
    """One image is 3 x 16 x 16 float32, 3,072 bytes; 7 x 32 of them 0.000641 GB, a thousand such batches 0.641 GB."""
    words = ("protocol.batch_size=32", "protocol.calibration_batches=1000")
    for free, fits in ((0.64, False), (0.65, True)):
        monkeypatch.setattr(memory, "free_gb", lambda free=free: free)
        if fits:
            check(quick(*words))
        else:
            with pytest.raises(ConfigError, match=r"1000 batches of 224 .* need 0\.641 GB, .*calibration_batches=499"):
                check(quick(*words))


def test_a_huge_network_is_refused_before_it_is_filled(quick, monkeypatch):
    """The second layer of convnet has 9 x 8,000 x 16,000 weights, 4.29 GB; with gradients and the first layer 8.58 GB."""
    monkeypatch.setattr(memory, "free_gb", lambda: 1.0)
    monkeypatch.setattr(nn.init, "kaiming_uniform_", lambda w, **_: w.numel() < 10**6 or pytest.fail("it is filled"))
    with pytest.raises(
        ConfigError, match=r"network must fit into memory, .* at least 8\.58 GB up to 'weight' of shape"
    ):
        plan_run(quick("model.width=8000"))


def test_the_weights_of_a_network_are_counted_by_hand(monkeypatch):
    """1,000 x 1,000 float32 are 4 MB, twice 8 MB; what was thrown away does not count."""
    monkeypatch.setattr(memory, "_SMALL", 0)
    for free, fits in ((7.9e6, False), (8.1e6, True)):
        monkeypatch.setattr(memory, "free_gb", lambda free=free: free / 2**30)
        with (
            refuse_large_networks() if fits else pytest.raises(ConfigError, match=r"0\.00745 GB"),
            refuse_large_networks(),
        ):
            for _ in range(2):
                nn.Linear(1000, 1000, bias=False)
    nn.Linear(2000, 2000)


@pytest.mark.parametrize(("free", "fits"), [(1.0, False), (64.0, True)])
def test_the_limit_is_what_is_free(quick, monkeypatch, free, fits):
    monkeypatch.setattr(memory, "free_gb", lambda: free)
    experiment = quick("protocol.batch_size=50000")
    if fits:
        check(experiment)
        return
    with pytest.raises(
        ConfigError, match=r"and 1 GB are free for 1 at a time; write protocol\.batch_size=\d+"
    ) as error:
        check(experiment)
    better = str(error.value).rpartition("=")[2]
    check(quick(f"protocol.batch_size={better}"))


def test_processes_count_together(quick, monkeypatch):
    monkeypatch.setattr(memory, "free_gb", lambda: 20.0)
    words = ("protocol.batch_size=50000", "launcher.jobs=8")
    check(quick(*words), cells=2)
    with pytest.raises(ConfigError, match=r"20 GB are free for 8 at a time; write .* or launcher\.jobs=[1-7]"):
        check(quick(*words), cells=100)


@pytest.mark.parametrize(("processes", "cells", "need"), [(1, 1, 2.329), (4, 1, 8.337), (4, 3, 8.337)])
def test_each_process_of_a_cell_has_all_images_and_keeps_the_pass_of_its_own(
    quick, monkeypatch, processes, cells, need
):
    """7 x 50,000 images of 3 x 16 x 16 floats are 1.001 GB, had twice by each process; 1,000 bytes kept of each are 0.326."""
    monkeypatch.setattr(memory, "kept_bytes", lambda network, shape: 1000.0)
    words = ("protocol.batch_size=50000", "protocol.calibration_batches=1")
    experiment = quick(*words, f"protocol.processes={processes}", f"launcher.jobs={cells}")
    monkeypatch.setattr(memory, "free_gb", lambda: cells * (need + 0.001))
    check(experiment, cells)
    monkeypatch.setattr(memory, "free_gb", lambda: cells * (need - 0.001))
    each = f" in {processes} processes" if processes > 1 else ""
    with pytest.raises(ConfigError, match=f"of 350000 images{each} needs at least {need:.3g} GB, .* for {cells} at a"):
        check(experiment, cells)


def test_a_cluster_is_asked_for_more(quick, monkeypatch):
    monkeypatch.setattr(memory, "free_gb", lambda: pytest.fail("this machine does not matter"))
    words = ("launcher=slurm", "protocol.batch_size=50000")
    with pytest.raises(ConfigError, match=r"asked for by launcher\.memory_gb; write .* or launcher\.memory_gb=\d+"):
        check(quick(*words, "launcher.memory_gb=1"))
    check(quick(*words, "launcher.memory_gb=64"))


def test_the_bound_is_low_and_not_far_off(quick):
    """What a step really allocates at its peak is more than the estimate, and less than five times as much."""
    experiment = quick("protocol.batch_size=64", "quantizer=[float]")
    network = experiment.setups[0].model.build((3, 16, 16), 10)
    load_and_plan(experiment)
    images = torch.rand(256, 3, 16, 16)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        network(images).sum().backward()
    grown = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda e: e.start_ns()):
        if event.name() == "[memory]":
            grown += event.nbytes()
            peak = max(peak, grown)
    estimate = 256 * kept_bytes(network, (3, 16, 16))
    assert estimate < peak < 5 * estimate
