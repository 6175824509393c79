"""Which sections stand side by side."""

from __future__ import annotations

import pytest

from quantdg.reports.frames.line_ups import LineUp, line_ups

R18, R50, CNN = ("resnet18", "small"), ("resnet50", "small"), ("mnist_cnn", "mnist")
LONG = ("resnet50", "domainnet")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ({"pacs": [R50]}, []),
        ({"pacs": [R50], "vlcs": [R50]}, [{"pacs": R50, "vlcs": R50}]),
        ({"pacs": [R50], "domain_net": [LONG]}, [{"pacs": R50, "domain_net": LONG}]),
        ({"pacs": [R50], "vlcs": [R50], "mnist": [CNN]}, [{"pacs": R50, "vlcs": R50, "mnist": CNN}]),
        (
            {"pacs": [R18, R50], "vlcs": [R18, R50], "mnist": [CNN]},
            [{"pacs": R18, "vlcs": R18, "mnist": CNN}, {"pacs": R50, "vlcs": R50, "mnist": CNN}],
        ),
        ({"pacs": [R18, R50], "mnist": [CNN]}, [{"pacs": R18, "mnist": CNN}, {"pacs": R50, "mnist": CNN}]),
        ({"pacs": [R18, R50], "vlcs": [R18]}, [{"pacs": R18, "vlcs": R18}]),
        ({"pacs": [R18, R50], "vlcs": [CNN, LONG]}, []),
    ],
)
def test_data_sets_match_by_model_and_protocol_and_those_with_one_of_their_own_join(
    runs: dict[str, list[tuple[str, str]]], expected: list[dict[str, tuple[str, str]]]
) -> None:
    found = line_ups((dataset, *setup) for dataset, setups in runs.items() for setup in setups)
    assert [{section[0]: section[1:] for section in one.sections} for one in found] == expected
    for one in found:
        assert one.datasets == tuple(sorted(set(one.datasets)))


def test_words_and_name_say_what_differs() -> None:
    one = LineUp((("a", *CNN), ("b", *R50), ("c", *R50)))
    assert one.setups == {CNN: ["a"], R50: ["b", "c"]}
    assert one.words == "mnist_cnn + resnet50, protocol mnist + small"
    assert one.name == "mnist-cnn-resnet50-mnist-small"
    assert LineUp((("a", *R50), ("b", *R50))).words == "resnet50, protocol small"


def test_one_data_set_at_two_severities_is_no_second_data_set() -> None:
    """Its images are the same again, so a claim about further data sets would count them twice."""
    sections = [(name, "convnet", "digits") for name in ("digits", "digits@0.5", "digits_real")]
    assert not LineUp(tuple(sections)).independent
    assert not LineUp((*sections[1:], ("digits_real@2", "convnet", "digits"))).independent
    assert LineUp(tuple(sections[1:])).independent
