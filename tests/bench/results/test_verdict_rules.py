"""The rules of the verdict are fixed with a folder's first run; reports use them unless told otherwise, and say so."""

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.results.merge import merge_runs
from quantdg.bench.results.store import RunStore
from quantdg.bench.results.verdict_rules import Rules, fix_rules, read_rules
from quantdg.bench.sweep import session
from quantdg.core.errors import ConfigError, RecordError
from quantdg.reports.report import Report


def test_a_run_fixes_them_before_its_first_cell(quick):
    experiment = quick("quantizer=[float]", "verdict.margin=0.7")
    root = experiment.paths.out
    assert session.run_experiment(experiment) == 0
    assert read_rules(root) == Rules(alpha=0.05, margin=0.7)
    with pytest.raises(
        ConfigError, match=r"fixed at alpha 0.05 and margin 0.7 .* got 0.05 and 0.5; write verdict\.alpha"
    ):
        session.run_experiment(quick("quantizer=[float]", f"out={root}"))
    report = Report.of(root)
    assert report.verdict.rules.margin == 0.7
    assert "a difference up to 0.7 points counts as none" in report.text()
    assert not any(entry == "verdict" for entry, _ in report.results.provenance)
    other = Report.of(root, margin=2.0)
    assert other.verdict.rules == Rules(0.05, 2.0)
    assert any(entry == "verdict" and "margin=0.7" in value for entry, value in other.results.provenance)


@pytest.mark.parametrize(("word", "rule"), [("alpha=0.5", "alpha must lie"), ("margin=0", "margin must be above 0")])
def test_wrong_rules_are_refused(word, rule):
    with pytest.raises(ConfigError, match=rule):
        config.load([f"verdict.{word}"])


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "verdict.json").write_text("{torn")
    with pytest.raises(RecordError, match=r"verdict.json cannot be read .*; restore it"):
        read_rules(tmp_path)


def test_folders_with_other_rules_are_not_merged(tmp_path):
    for name, margin in (("a", 0.5), ("b", 0.5), ("c", 1.0)):
        fix_rules(RunStore(tmp_path / name, create=True).root, Rules(margin=margin))
    merge_runs([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert read_rules(tmp_path / "out") == Rules()
    with pytest.raises(ConfigError, match=r"margin 0\.5"):
        merge_runs([tmp_path / "a", tmp_path / "c"], tmp_path / "out")
