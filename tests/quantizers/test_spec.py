"""Rules and bounds of the spec."""

import pytest

from quantdg.core.errors import ConfigError, NoMatchError
from quantdg.quantizers.spec import QuantSpec, Rule, integer_range


def test_the_last_matching_rule_wins():
    spec = QuantSpec(7, rules=(Rule("a*", skip=True), Rule("a.b*", weight_bits=4), Rule("a.b.c", act_bits=8)))
    assert spec.site("a.x") is None
    assert spec.site("a.b").weight_bits == 4
    site = spec.site("a.b.c")
    assert (site.weight_bits, site.act_bits) == (4, 8)
    assert spec.site("other").weight_bits == 7


def test_a_star_crosses_dots_and_case_counts():
    spec = QuantSpec(rules=(Rule("layer*", skip=True),))
    assert spec.site("layer1.0.conv1") is None
    assert spec.site("Layer1") is not None


def test_a_rule_that_matches_nothing_names_itself_and_the_layers():
    with pytest.raises(NoMatchError, match=r"'conv1' matches none; the layers are: net.conv1, net.fc"):
        QuantSpec(rules=(Rule("conv1", skip=True),)).check_rules(["net.conv1", "net.fc"])


@pytest.mark.parametrize("bits", [1, 9, 0, True, 7.0, "7"])
def test_bits_outside_two_to_eight_are_refused(bits):
    for build in (lambda: QuantSpec(bits), lambda: QuantSpec(7, bits), lambda: Rule("*", weight_bits=bits)):
        with pytest.raises(ConfigError, match="whole number from 2 to 8"):
            build()


def test_other_settings_are_refused():
    with pytest.raises(ConfigError, match="use quantizer=float"):
        QuantSpec(None)
    with pytest.raises(ConfigError, match="granularity"):
        QuantSpec(granularity="channel")
    with pytest.raises(ConfigError, match="granularity"):
        Rule("*", granularity="channel")
    with pytest.raises(ConfigError, match="tuple of Rule, got list"):
        QuantSpec(rules=[])


def test_a_spec_is_hashable_and_labelled():
    assert len({QuantSpec(7), QuantSpec(7), QuantSpec(7, 8)}) == 2
    assert (QuantSpec(7).label, QuantSpec(4, 8).label) == ("W7", "W4A8")


@pytest.mark.parametrize(
    ("bits", "signed", "narrow", "expected"),
    [(7, True, False, (-64, 63)), (7, True, True, (-63, 63)), (7, False, False, (0, 127)), (2, False, True, (0, 3))],
)
def test_codes_that_bits_hold(bits, signed, narrow, expected):
    assert integer_range(bits, signed=signed, narrow=narrow) == expected


def test_a_rule_says_none_where_it_means_none():
    """Null is float inputs; what a rule leaves out stays as the spec has it."""
    spec = QuantSpec(4, 4, rules=(Rule("first", act_bits=None), Rule("last", weight_bits=8)))
    first, last = spec.site("first"), spec.site("last")
    assert (first.weight_bits, first.act_bits) == (4, None)
    assert (last.weight_bits, last.act_bits, last.granularity) == (8, 4, "per_channel")
    with pytest.raises(ConfigError, match="got None; write skip=true for a float layer"):
        Rule("first", weight_bits=None)
    with pytest.raises(ConfigError, match="granularity must be one of"):
        Rule("first", granularity=None)


def test_the_identity_of_a_rule_is_what_it_was():
    kept = {"pattern": "classifier*", "skip": True, "weight_bits": None, "act_bits": None, "granularity": None}
    assert QuantSpec().identity["rules"] == [kept]
    assert Rule("a", act_bits=8, granularity="per_tensor").identity == {
        "pattern": "a", "skip": False, "weight_bits": None, "act_bits": 8, "granularity": "per_tensor",
    }  # fmt: skip
    assert Rule("a", act_bits=None).identity["act_bits"] == "float"


@pytest.mark.parametrize(
    ("rules", "label"),
    [
        ((), "W4A4"),
        ((Rule("classifier*", skip=True),), "W4A4"),
        ((Rule("a", weight_bits=4, act_bits=4, granularity="per_tensor"),), "W4A4"),
        ((Rule("first", weight_bits=8),), "W4A4 mixed"),
        ((Rule("first", act_bits=8),), "W4A4 mixed"),
        ((Rule("first", act_bits=None),), "W4A4 mixed"),
        ((Rule("*", weight_bits=8),), "W8A4"),
        ((Rule("*", act_bits=None), Rule("first", weight_bits=8)), "W4 mixed"),
        ((Rule("first", weight_bits=8), Rule("*", weight_bits=6)), "W6A4"),
        ((Rule("*", weight_bits=8), Rule("last", skip=True)), "W8A4"),
    ],
)
def test_mixed_bits_are_called_mixed(rules, label):
    assert QuantSpec(4, 4, rules=rules).label == label
