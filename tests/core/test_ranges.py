"""Draws of hyper-parameters, by hand and by their distributions."""

import hashlib
import math
from statistics import mean

import pytest

from quantdg.core.errors import ConfigError
from quantdg.core.ranges import Choice, Log, Uniform, draw, ranges_of, read_range

SHARES = [(i + 0.5) / 1000 for i in range(1000)]


def test_a_draw_by_hand():
    first = int(hashlib.sha256(b"3/protocol.lr/2").hexdigest()[:16], 16) >> 11
    share = first / 2**53
    assert draw(Uniform(0.0, 1.0), 3, "protocol.lr", 2) == pytest.approx(share, rel=1e-5)
    assert draw(Log(1e-5, 1e-3), 3, "protocol.lr", 2) == pytest.approx(10 ** (-5 + 2 * share), rel=1e-5)


def test_a_draw_depends_on_seed_name_and_number_alone():
    base = draw(Uniform(0, 1), 0, "a", 1)
    assert draw(Uniform(0, 1), 0, "a", 1) == base
    others = {draw(Uniform(0, 1), s, n, k) for s, n, k in ((1, "a", 1), (0, "b", 1), (0, "a", 2))}
    assert len({base, *others}) == 4


def test_quantiles():
    assert (Uniform(2, 4).at(0), Uniform(2, 4).at(0.25)) == (2, 2.5)
    assert Log(1e-5, 1e-3).at(0.5) == pytest.approx(1e-4)
    assert Choice((0.0, 0.1, 0.5)).at(0.34) == 0.1
    assert mean(math.log10(Log(0.1, 10).at(s)) for s in SHARES) == pytest.approx(0, abs=1e-4)


def test_whole_numbers_as_in_domainbed():
    """DomainBed draws int(2 ** U(3, 9)) images of a small size: 8 to 511."""
    batch = Log(8, 511, whole=True)
    assert [batch.at(s) for s in SHARES] == [int(2 ** (3 + 6 * s)) for s in SHARES]
    assert {Uniform(1, 2, whole=True).at(s) for s in SHARES} == {1, 2}
    assert all(type(batch.at(s)) is int for s in SHARES)


def test_no_draw_leaves_its_range():
    awkward = Log(10**-4.5, 10**-2.5)
    values = [awkward.at(s) for s in (0, 1e-12, 0.3, 1 - 2**-53)]
    assert awkward.low <= min(values) <= max(values) <= awkward.high
    assert Log(1, 3, whole=True).at(1 - 2**-53) == 3


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"log": [1e-3, 1e-5]},
            "search.ranges.protocol.lr: a range goes from a smaller to a larger number, got 0.001 to",
        ),
        ({"uniform": [1, 1]}, "got 1 to 1; write the smaller first"),
        ({"log": [0, 1]}, "begins above 0, got 0"),
        ({"log": [1, 2, 3]}, "must be {log: "),
        ({"log": [True, 2]}, "must be {log: "),
        ({"lag": [1, 2]}, "must be {log: "),
        ({"log": [1, 2], "uniform": [1, 2]}, "must be {log: "),
        (3, "must be {log: "),
        ([], "needs at least one value"),
        ([1, 2, 1], "1 twice"),
        ([0, 0.0], "0 twice"),
        ({"choice": [[1, 2.0], [1.0, 2]]}, "twice"),
        ({"log": [1e-5, math.inf]}, "a finite number"),
    ],
)
def test_wrong_ranges(node, message):
    with pytest.raises(ConfigError, match=message):
        read_range("protocol.lr", node)


def test_true_is_not_one():
    assert Choice((1, True)).values == (1, True)


def test_ranges_of_a_configuration():
    assert read_range("x", [1, 2]) == Choice((1, 2)) == read_range("x", {"choice": [1, 2]})
    assert read_range("x", {"log": [1, 8]}, whole=True) == Log(1, 8, whole=True)


def test_a_function_may_declare_ranges():
    def model(): ...

    assert ranges_of(model) == {}
    model.ranges = {"dropout": Choice((0.0, 0.5))}
    assert ranges_of(model) == {"dropout": Choice((0.0, 0.5))}
