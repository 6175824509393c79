"""The rate of oscillation by hand, in a real branch, and over an interruption."""

import pytest
import torch

from quantdg.bench.training.branch import train_branch
from quantdg.bench.training.checkpoint import capture
from quantdg.bench.training.float_phase import build
from quantdg.bench.training.oscillation_watch import OscillationWatch
from quantdg.quantizers.base import Audit, SiteAudit
from quantdg.quantizers.export import QTensor, SiteExport


class Told:
    """Hands out given codes, one list a step."""

    def __init__(self, *steps, post_training=False):
        self.steps, self.post_training = iter(steps), post_training

    def export(self, _):
        codes = torch.tensor(next(self.steps), dtype=torch.int8)
        return {"conv": SiteExport(QTensor(codes, torch.tensor(1.0), torch.tensor(0.0), 4))}


def rate(watch):
    audit = Audit("told", {"conv": SiteAudit(1, 0.0, 0.0, 0.0), "float": SiteAudit(0, 0.0, 0.0, 0.0)})
    noted = watch.noted(audit).sites
    assert noted["float"].oscillation is None
    return noted["conv"].oscillation


def watched(*steps, watch=None):
    watch, told = watch or OscillationWatch(), Told(*steps)
    for _ in steps:
        watch.after_step(0, told, None)
    return watch


def test_codes_that_turn_back_are_counted():
    """0 1 0 1 0 turns in three of four steps, 0 1 1 0 0 in one, 0 1 2 3 4 never."""
    assert rate(watched([0, 0, 0], [1, 1, 1], [0, 1, 2], [1, 0, 3], [0, 0, 4])) == pytest.approx((3 + 1 + 0) / 12)


def test_a_watch_goes_on_where_its_state_was_taken():
    steps = [[0, 3], [1, 3], [0, 2], [1, 3], [2, 2]]
    for cut in range(1, 5):
        other = OscillationWatch()
        other.restore(watched(*steps[:cut]).state())
        assert rate(watched(*steps[cut:], watch=other)) == rate(watched(*steps)) == pytest.approx(4 / 8)


def test_only_the_last_steps_are_looked_at():
    watch = OscillationWatch()
    watch.after_step(51, Told(), None)  # would fail if it asked for codes
    watch.after_step(0, Told(post_training=True), None)  # there are none before the training has ended
    assert watch.state()["last"] == {}
    assert rate(watch) is None


@pytest.mark.parametrize(("quantizer", "uniform"), [("lsq", True), ("k_means", False)])
def test_a_branch_says_how_much_its_weights_oscillate_and_where_they_lie(cell, quantizer, uniform):
    words = (f"quantizer=[{quantizer}]", "bits=[3]", "protocol.steps=20", "protocol.lr=0.05", "model.width=4")
    chosen, data = cell(*words)
    branch = train_branch(chosen, data, capture(build(chosen.group, data)), lambda _: None)
    sites = list(branch.audit.sites.values())
    assert all(0 <= site.oscillation < 0.5 for site in sites)
    if uniform:
        assert sum(site.oscillation for site in sites) > 0
        assert all(0.1 < site.grid_distance < 0.4 for site in sites)
    else:
        assert {site.grid_distance for site in sites} == {None}
