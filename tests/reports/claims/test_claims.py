"""Claims of a file, answered by the verdict's tests: eight domains, accuracies made so that p-values are known."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pytest import approx
from scipy import stats

from quantdg.bench.results.ensemble import EnsembleRecord, ensemble_key, write_ensemble
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.reports.claims.commands import claims
from quantdg.reports.claims.file import read_claims
from quantdg.reports.claims.finding import Finding
from quantdg.reports.claims.table import answered
from quantdg.reports.frames.results import Results, load
from quantdg.reports.text.section import with_section
from quantdg.reports.verdict.judge import judge

Ask = Callable[..., Finding]
ROOT = Path(__file__).parents[3]
GAINS = {
    ("erm", "float", "float"): (0.0, 0.0, 0.0),
    ("erm", "freeze", "float"): (-2.0, -2.0, -2.0),
    ("erm", "uniform_noise", "W7"): (0.5, 0.5, 0.5),
    ("erm", "lsq", "W7"): (1.0, 0.2, 1.5),
    ("erm", "lsq", "W8"): (0.6, 0.6, 0.6),
    ("erm", "lsq", "W3"): (-5.0, -5.0, -5.0),
    ("erm", "torch_ao", "W7"): (-1.0, -1.0, -1.0),
    ("coral", "float", "float"): (3.0, 3.0, 3.0),
    ("coral", "lsq", "W7"): (3.4, 3.4, 3.4),
}
"""Points above 60 % under iid, swad and last; each domain d adds 0.1 d, and each quantizer 0.01 d times that."""


def flatness(value: float) -> dict[str, object]:
    measured = {"local_source": [value], "local_target": [value]}
    return {"settings": {"radii": [0.01], "rhos": []}, "deployed": measured}


def fill(store: RunStore, make: Callable[..., Record]) -> None:
    keys: dict[tuple[object, ...], list[str]] = {}
    for (algorithm, quantizer, bits), points in GAINS.items():
        for d in range(8):
            for seed in range(1 if bits == "W8" or algorithm == "coral" else 2):
                for start in (12, 24) if (algorithm, quantizer, bits, seed) == ("erm", "lsq", "W7", 0) else (24,):
                    late = 0.3 * (start == 12 and quantizer == "lsq")
                    values = [(60 + p * (1 + 0.01 * d) + 0.1 * d - late) / 100 for p in points]
                    protocol = {"name": "small", "steps": 60, "start_step": start}
                    store.write(record := make(
                        f"d{d}", seed, algorithm, quantizer, dict(zip(("iid", "swad", "last"), values, strict=True)), bits=bits,
                        settings={"protocol": protocol}, flatness=flatness(0.5 - points[0] / 20 + 0.001 * d),
                    ))  # fmt: skip
                    keys.setdefault((algorithm, quantizer, bits, d, start), []).append(record.key)
    for quantizer, bits, ensemble, single in (("float", "float", 0.65, 0.61), ("lsq", "W7", 0.63, 0.60)):
        for d in range(8):
            together(store, keys["erm", quantizer, bits, d, 24], (ensemble + 0.001 * d, single))


def together(store: RunStore, members: list[str], accuracies: tuple[float, float]) -> None:
    ensemble, single = accuracies
    write_ensemble(store.root, EnsembleRecord(
        key=ensemble_key(members), members=tuple(members), seeds=(0, 1), accuracy=ensemble, single=(single - 0.01, single + 0.01),
        bytes=3, float_bytes=6,
    ))  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_many: Callable[..., Record]) -> Path:
    store = RunStore(tmp_path_factory.mktemp("claims") / "runs", create=True)
    fill(store, make_many)
    return store.root


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load(folder)


@pytest.fixture
def ask(tmp_path: Path, results: Results) -> Ask:
    """Answer one claim, written as the entries of a file."""

    def answer(head: str = "start: 0.4", **entries: object) -> Finding:
        text = "".join(f", {name}: {value}" for name, value in entries.items())
        file = tmp_path / "mine.yaml"
        file.write_text(f"{head}\nclaims:\n- {{id: one, source: us, says: so{text}}}\n")
        (line,) = answered(read_claims(file), results)
        return line.found

    return answer


LSQ, FLOAT = "{quantizer: lsq, bits: W7}", "{quantizer: float}"


def test_a_gain_over_float_is_the_verdicts(ask: Ask, results: Results) -> None:
    found = ask(rows=LSQ, against=FLOAT)
    # Eight domains, all above 0: p 2/256; Holm over lsq W3, torch_ao and lsq W7, all at 2/256 (W8 lacks a seed).
    assert (found.word, found.p) == ("yes", approx(6 / 256))
    (scope,) = [s for s in judge(results).scopes if "0.4" in s.name or "24" in s.name]
    (said,) = [c for a in scope.algorithms if a.algorithm == "erm" for c in a.quantizers if c.name == "lsq W7"]
    assert said.effect is not None
    assert (found.p, found.mean, found.low) == approx((said.adjusted, said.effect.mean, said.effect.low))
    assert (found.n_domains, found.n_seeds, len(found.keys)) == (8, 2, 32)


def test_a_family_of_its_own_is_smaller_and_holds_the_row(ask: Ask) -> None:
    assert ask(rows=LSQ, against=FLOAT, family="{quantizer: methods, bits: W7}").p == approx(4 / 256)
    with pytest.raises(ConfigError, match="must hold its row, lsq W7"):
        ask(rows=LSQ, against=FLOAT, family="{quantizer: torch_ao}")


def test_a_controls_difference_from_float_is_no_gain_of_a_quantizer(ask: Ask) -> None:
    found = ask(rows="{quantizer: freeze}", against=FLOAT, alternative="less")
    assert (found.word, found.p) == ("yes", approx(1 / 256))


@pytest.mark.parametrize(
    ("entries", "word", "p"),
    [
        ({"rows": "{quantizer: torch_ao, bits: W7}", "against": FLOAT}, "no", 6 / 256),
        ({"rows": "{quantizer: lsq, bits: W3}", "against": FLOAT, "alternative": "less"}, "yes", 6 / 256),
        ({"rows": "{quantizer: methods, bits: W7}", "against": FLOAT}, "no", 1.0),
        ({"rows": "{quantizer: methods, bits: W7}", "against": FLOAT, "together": "some"}, "yes", 2 / 256),
        ({"rows": "{quantizer: methods, bits: W7}", "against": FLOAT, "together": "differ"}, "yes", 2 / 256),
        ({"rows": LSQ, "against": "[{quantizer: freeze}, {quantizer: uniform_noise}]"}, "yes", 1 / 256),
        ({"rows": LSQ, "against": "{bits: W8}"}, "yes", 1 / 256),
        ({"rows": "{quantizer: lsq, bits: W8}", "against": "{bits: W7}"}, "no", 1.0),
        ({"rows": LSQ, "against": FLOAT, "when": "{selection: swad}", "alternative": "less"}, "yes", 2 / 256),
        ({"rows": LSQ, "against": FLOAT, "when": "{algorithm: coral}"}, "no", 2 / 256),
        ({"rows": "{algorithm: coral, quantizer: lsq, bits: W7}", "against": FLOAT}, "yes", 2 / 256),
        ({"rows": "{quantizer: lsq, bits: W7, selection: last}", "against": "{quantizer: float, selection: iid}"}, "yes", 1 / 256),
        ({"rows": "{quantizer: lsq, bits: W7, start: 0.4}", "against": "{start: 0.2}"}, "yes", 1 / 256),
        ({"rows": "{quantizer: lsq, bits: W7, start: 0.2}", "against": "{start: 0.4}"}, "no", 1.0),
        ({"rows": LSQ, "against": FLOAT, "metric": "F(0.01) on source", "alternative": "less"}, "yes", 1 / 256),
    ],
)  # fmt: skip
def test_every_kind_of_contrast(ask: Ask, entries: dict[str, str], word: str, p: float) -> None:
    found = ask(**entries)
    assert (found.word, found.p) == (word, approx(p))
    assert found.takes == ""


def test_signs_are_the_contrasts_own_and_of_several_rows_the_worst_has_the_interval(ask: Ask) -> None:
    assert ask(rows="{quantizer: lsq, bits: W3}", against=FLOAT, alternative="less").mean == approx(-5.175)
    assert ask(rows=LSQ, against=FLOAT, metric="F(0.01) on source", alternative="less").mean == approx(-0.05)
    found = ask(rows=LSQ, against="[{quantizer: freeze}, {quantizer: uniform_noise}]")
    assert (found.row, found.mean) == ("lsq W7 - uniform_noise W7", approx(0.5175))
    assert found.most == (approx(3.105), "lsq W7 - freeze")


@pytest.mark.parametrize("spec", [QuantSpec(8, 8, placement="full"), QuantSpec(4, rules=(Rule("fc", weight_bits=8),))])
def test_bits_are_picked_as_tables_write_them(ask: Ask, spec: QuantSpec) -> None:
    assert ask(rows=f"{{quantizer: lsq, bits: {spec.label}}}", against=FLOAT).word == "not run"


def test_of_some_rows_the_nearest_to_the_claim_decides(ask: Ask) -> None:
    found = ask(rows="{quantizer: methods, bits: W7}", against=FLOAT, together="some")
    assert (found.word, found.row, found.most[1]) == ("yes", "lsq W7", "torch_ao W7")
    assert (found.mean, found.most[0]) == (approx(1.035), approx(-1.035))


@pytest.mark.parametrize(
    ("against", "word"), [("{bits: W8}", "yes"), (FLOAT, "no"), ("{quantizer: uniform_noise}", "no")]
)
def test_equal_is_within_the_margin_by_two_one_sided_tests(ask: Ask, against: str, word: str) -> None:
    """Differences of 0.4, 1.0 and 0.5 points, each times 1 + 0.01 d; the margin is 0.5."""
    found = ask(rows=LSQ, against=against, alternative="equal")
    assert found.word == word
    if word == "yes":
        means = 0.4 * (1 + 0.01 * np.arange(8))
        distance = (0.5 - means.mean()) / (means.std(ddof=1) / np.sqrt(8))
        assert found.p == approx(stats.t.sf(distance, 7))


def test_of_several_rows_the_one_farthest_from_equal_counts(ask: Ask) -> None:
    found = ask(rows=LSQ, against="[{bits: W8}, {quantizer: freeze}]", alternative="equal")
    assert (found.word, found.row, found.most[0]) == ("no", "lsq W7 - freeze", approx(0.414))


def test_rows_share_the_seeds_that_both_have(ask: Ask) -> None:
    assert ask(rows=LSQ, against="{bits: W8}").n_seeds == 1


def test_rows_of_two_selections_are_two_rows(ask: Ask) -> None:
    rows = "[{quantizer: lsq, bits: W7}, {quantizer: lsq, bits: W7, selection: swad}]"
    assert ask(rows=rows, against=FLOAT).several == 2


def test_every_is_not_shown_by_the_rows_that_are_whole(
    store: RunStore, make: Callable[..., Record], tmp_path: Path
) -> None:
    for d in range(8):
        for quantizer, gain in (("float", 0.0), ("lsq", 0.02), ("pact", 0.02)):
            if (quantizer, d) != ("pact", 7):
                store.write(make(f"d{d}", quantizer=quantizer, rows={"iid": 0.5 + gain}))
    file = tmp_path / "mine.yaml"
    file.write_text(f"claims: [{{id: a, source: b, says: c, rows: {{quantizer: methods}}, against: {FLOAT}}}]\n")
    (line,) = answered(read_claims(file), load(store.root))
    assert line.found.word == "incomplete"
    assert line.found.takes == (
        "It takes the missing cells: the same command runs them; 7 of 8 pairs are there. Incomplete and not judged: pact W7."
    )


def test_what_is_not_there_is_not_run_and_says_what_it_takes(ask: Ask) -> None:
    found = ask(rows="{quantizer: [lsq, pact], bits: W6}", against=FLOAT, run="quantdg run")
    assert (found.word, found.takes) == ("not run", "It takes the rows lsq W6, pact W6: quantdg run")
    assert (
        "the data set vlcs" in ask("start: 0.4\nscopes: [{name: v, datasets: [vlcs]}]", rows=LSQ, against=FLOAT).takes
    )
    assert ask(outside="'It takes files'").takes == "It takes files."
    assert "F(0.5) on target in each" in ask(rows=LSQ, against=FLOAT, metric="F(0.5) on target").takes


def test_flatness_on_data_sets_that_are_not_there_is_not_run(results: Results, tmp_path: Path) -> None:
    """The keys of cells that a search chose are strings to pandas: no row of them at all mapped to a number was no number."""
    file = tmp_path / "mine.yaml"
    claim = f"{{id: one, source: us, says: so, rows: {LSQ}, against: {FLOAT}, metric: F(0.01) on source}}"
    file.write_text(f"start: 0.4\nscopes: [{{name: v, datasets: [vlcs]}}]\nclaims: [{claim}]\n")
    (line,) = answered(read_claims(file), replace(results, cells=results.cells.astype({"key": "str"})))
    assert line.found.word == "not run"


@pytest.mark.parametrize(
    ("against", "mean", "p"), [("{quantizer: float, selection: single}", 2.35, 1 / 256), (FLOAT, -2.0, 1.0)]
)
def test_seeds_together_are_compared_with_one_and_with_as_many(ask: Ask, against: str, mean: float, p: float) -> None:
    rows = "{quantizer: lsq, bits: W7, selection: ensemble}"
    found = ask(metric="seeds together", rows=rows, against=against)
    assert (found.mean, found.p, found.n_domains, found.n_seeds) == (
        approx(mean),
        approx(p),
        8,
        2,
    )  # 63 + 0.1 d, d to 7, over 61


def test_an_ensemble_of_cells_that_are_elsewhere_is_named(tmp_path: Path, make_many: Callable[..., Record]) -> None:
    store = RunStore(tmp_path / "runs", create=True)
    store.write(record := make_many("d0", 0, "erm", "float", {"iid": 0.6}, bits="float"))
    together(store, [record.key, "0" * 16], (0.6, 0.6))
    ((file, reason),) = load(store.root).problems
    assert file.startswith("ensembles/")
    assert reason.startswith("not all of its members are in this folder")


def test_ensembles_that_are_not_there_are_not_run(ask: Ask) -> None:
    rows = "{algorithm: coral, quantizer: lsq, bits: W7, selection: ensemble}"
    assert ask(metric="seeds together", rows=rows, against=FLOAT).word == "not run"


@pytest.mark.parametrize("algorithm", ["erm+saq", "coral+mixup+sam", "erm+sgd"])
def test_an_algorithm_with_parts_that_the_folder_lacks_is_not_run(ask: Ask, algorithm: str) -> None:
    """Its claim is written down before its cells."""
    assert ask(rows=f"{{algorithm: {algorithm}, quantizer: lsq, bits: W7}}", against=FLOAT).word == "not run"


def test_flatness_goes_with_the_gap(ask: Ask) -> None:
    rows = "[{quantizer: float}, {quantizer: [freeze, uniform_noise]}, {quantizer: methods, bits: [W3, W7]}]"
    found = ask(rows=rows, metric="F(0.01) on source", goes_with="gap")
    # Six rows: the sharper, the lower the accuracy; of 720 orders the identity and its reverse have |r| = 1.
    assert (found.word, found.mean, found.several) == ("yes", approx(1), 6)
    assert found.p == approx(2 / 720, abs=0.003)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[{quantizer: lsk}]", "no quantizer (claim one) named 'lsk'; did you mean 'lsq'"),
        ("[{quantiser: lsq}]", "did you mean 'quantizer'"),
        ("[{quantizer: lsq, bits: 7}]", "write W7"),
        ("[{quantizer: lsq, bits: w7}]", "as the tables write them, W7 or W7A8"),
        ("[{quantizer: lsq, start: 40}]", "write for example 0.4"),
        ("[{selection: swat}]", "no selection (claim one) named 'swat'; did you mean 'swad'"),
        ("[{algorithm: erm+smm}]", "no algorithm (claim one) named 'smm'; did you mean 'sam'"),
        ("[{algorithm: erm+plain}]", "no algorithm (claim one) named 'plain'"),
        ("[{algorithm: korall}]", "no algorithm (claim one) named 'korall'; did you mean 'coral'"),
        ("[]", "a claim has rows and what they stand against, or outside"),
    ],
)  # fmt: skip
def test_a_name_that_can_match_nothing_is_refused(ask: Ask, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        ask(rows=text, against=FLOAT)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"against": "{bits: [W6, W8]}"}, "one entry for each value"),
        ({"against": FLOAT, "together": "all"}, "there are: differ, every, some"),
        ({"against": FLOAT, "metric": "loss"}, "write for example F(0.01) on source"),
        ({"against": FLOAT, "scope": "moon"}, "no scope named 'moon'"),
        (
            {"against": "{selection: single}", "metric": "seeds together"},
            "needs selection: ensemble or single, claim one has none",
        ),
        ({"against": "{selection: single}"}, "selection: single needs metric: seeds together"),
        ({"against": FLOAT, "alternative": "equal", "together": "some"}, "leave both out"),
        ({"against": FLOAT, "goes_with": "gap"}, "needs metric and rows, and no against"),
        ({"against": "{bits: W8}", "family": "{bits: W7}"}, "only gains over float are corrected together"),
        ({"against": FLOAT, "rows": LSQ}, "must each be there once, got rows again"),
    ],
)
def test_what_a_claim_cannot_mean_is_refused(ask: Ask, entries: dict[str, str], says: str, tmp_path: Path) -> None:
    text = "".join(f", {name}: {value}" for name, value in entries.items())
    file = tmp_path / "wrong.yaml"
    file.write_text(f"claims:\n- {{id: one, source: us, says: so, rows: {LSQ}{text}}}\n")
    with pytest.raises(ConfigError) as error:
        read_claims(file)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must have entries, got None"),
        ("claims: &a [*a]", "a claim must have entries"),
        ("claims: [{id: 7, source: us, says: so, outside: yes}]", "id of claim 7 must be text, got 7"),
        ("claims: [{id: a, says: so}]", "claim a lacks source; add it"),
        ("claims: [{id: a, source: b, says: c, outside: d}, {id: a, source: b, says: c, outside: d}]", "got a again"),
        ("scopes: [{datasets: pacs}]\nclaims: []", "the name of a scope must be a name, got None"),
        ("claims: [", "is YAML"),
        ("start: 2\nclaims: []", "claims must be a list with at least one entry"),
    ],
)
def test_odd_files_are_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_claims(file)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is a folder, a pipe or a device"):
            read_claims(place)


def test_the_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"claims:\r\n- {id: a, source: b, says: c, outside: d}\r\n")
    assert hashlib.sha256(file.read_bytes()).hexdigest().startswith(read_claims(file).digest)


def test_several_starts_must_be_told_apart(ask: Ask) -> None:
    with pytest.raises(ConfigError, match=r"at its head, for example start: 0\.2"):
        ask("title: x", rows=LSQ, against=FLOAT)


def test_each_protocol_has_its_own_answers_and_a_smaller_one_only_where_it_was_run(
    store: RunStore, make: Callable[..., Record], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    claim = "- {{id: {0}, source: us, says: so, rows: {{quantizer: {0}, bits: W7}}, against: {1}}}\n"
    file.write_text(f"claims:\n{claim.format('lsq', FLOAT)}{claim.format('pact', FLOAT)}")
    for rule in ("plain", "sam"):
        for d in range(5 if rule == "plain" else 4):
            for quantizer, value in (("float", 0.5), ("lsq", 0.6)):
                more = {} if rule == "plain" else {"step_rule": {"name": rule}}
                store.write(make(f"d{d}", quantizer=quantizer, rows={"iid": value}, settings=more))
    found = answered(read_claims(file), load(store.root))
    assert [(line.ground, line.claim.id, line.found.word) for line in found] == [
        ("pacs, cnn, small (name=unset)", "lsq", "not decidable"),
        ("pacs, cnn, small (name=unset)", "pact", "not run"),
        ("pacs, cnn, small (name=sam)", "lsq", "not decidable"),
    ]


def test_names_are_those_of_data_sets(ask: Ask) -> None:
    with pytest.raises(UnknownNameError, match="no data set named 'pcas'; did you mean 'pacs'"):
        ask("start: 0.4\nscopes: [{name: v, datasets: [pcas]}]", rows=LSQ, against=FLOAT)


@pytest.mark.parametrize("form", ["text", "md", "csv", "json", "latex"])
def test_the_command_prints_every_form(
    golden: RunStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """Two domains decide nothing."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"claims: [{{id: gain, source: us, says: so, rows: {LSQ}, against: {FLOAT}}}]\n")
    assert claims([str(golden.root), "--file", str(file), "--format", form]) == 0
    said = capsys.readouterr().out
    assert ("NOT DECIDABLE" if form == "text" else "not decidable") in said
    if form == "csv":
        (gain,) = csv.DictReader(io.StringIO(said))
        assert (gain["answer"], float(gain["mean"])) == ("not decidable", approx(2.0))
    if form == "json":
        assert [row["mean"] for row in json.loads(said)] == [approx(2.0)]


def test_of_several_folders_each_claim_is_answered_by_the_first_that_has_its_rows(
    make: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Float is another in each folder, since bits differ between machines: no row is compared with one of another folder."""
    for name, level, rows in (("first", 0.5, {"W7": 0.51}), ("second", 0.4, {"W7": 0.9, "W8": 0.43})):
        store = RunStore(tmp_path / name, create=True)
        for d in range(2):
            store.write(make(f"d{d}", quantizer="float", bits="float", rows={"iid": level}))
            for bits, value in rows.items():
                store.write(make(f"d{d}", quantizer="lsq", bits=bits, rows={"iid": value}))
    file = tmp_path / "mine.yaml"
    claim = "- {{id: {0}, source: us, says: so, rows: {{quantizer: lsq, bits: {0}}}, against: {1}}}\n"
    file.write_text("claims:\n" + "".join(claim.format(bits, FLOAT) for bits in ("W8", "W7", "W3")))
    words = [str(tmp_path / "first"), str(tmp_path / "second"), "--file", str(file), "--format"]
    assert claims([*words, "csv"]) == 0
    found = [
        (line["id"], line["records"], line["mean"][:3]) for line in csv.DictReader(io.StringIO(capsys.readouterr().out))
    ]
    assert found == [("W8", "second", "3.0"), ("W7", "first", "1.0"), ("W3", "first", "")]
    assert claims([*words[:-1], "--full"]) == 0
    said = capsys.readouterr().out
    assert "first 4 cells: 4 done; second 6 cells" in said
    assert "second: so" not in said
    assert "lsq W8 - float > 0; second: all domains, 2 domains x 1 seed: +3.00" in said


def test_of_several_folders_another_model_has_answers_of_its_own(
    make: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a second network says was left out, since the first folder had rows for each claim."""
    for name, model, gained in (("a", "cnn", 0.01), ("b", "mlp", 0.02), ("c", "mlp", 0.03), ("d", "cnn", 0.04)):
        store = RunStore(tmp_path / name, create=True)
        for d, (quantizer, value) in product(range(2), (("float", 0.5), ("lsq", 0.5 + gained))):
            store.write(make(f"d{d}", quantizer=quantizer, rows={"iid": value}, model=model))
    file = tmp_path / "mine.yaml"
    claim = "- {{id: {0}, source: us, says: so, rows: {{quantizer: {0}, bits: W7}}, against: {1}}}\n"
    file.write_text("claims:\n" + "".join(claim.format(name, FLOAT) for name in ("pact", "lsq")))
    assert claims([*(str(tmp_path / name) for name in "abcd"), "--file", str(file), "--format", "csv"]) == 0
    lines = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [(line["network"], line["id"], line["records"], line["mean"][:3]) for line in lines] == [
        ("pacs, cnn, small", "pact", "a", ""),
        ("pacs, cnn, small", "lsq", "a", "1.0"),
        ("pacs, mlp, small", "lsq", "b", "2.0"),
    ]
    many = "- {{id: c{0}, source: us, says: so, rows: {{quantizer: lsq, bits: W7}}, against: {1}}}\n"
    file.write_text("claims:\n" + "".join(many.format(i, FLOAT) for i in range(26)))
    assert claims([*(str(tmp_path / name) for name in "abcd"), "--file", str(file)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) <= 40
    assert "pacs, mlp, small: 26 not decidable" in said


def test_at_a_glance_a_claim_is_a_line_and_all_are_at_most_40(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    rows = {"every": "{quantizer: methods, bits: W7}", "gain": LSQ, "absent": "{quantizer: lsq, bits: W6}"}
    rows |= {f"more-{i}": LSQ for i in range(40)}
    said = "".join(
        f"- {{id: {name}, source: us, says: so, rows: {row}, against: {FLOAT}}}\n" for name, row in rows.items()
    )
    file.write_text(f"start: 0.4\nclaims:\n{said}")
    assert claims([str(folder), "--file", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 120
    assert lines[2] == "41 yes, 1 no, 1 not run"
    every = "NO every -1.03 (-1.06 to -1.01) … +1.04 in 2 rows 1 8 x 2 seeds"
    assert [" ".join(line.split()) for line in lines if line.startswith(" NO ")] == [every]
    assert [line.split() for line in lines if " absent " in line] == [["NOT", "RUN", "absent", "—", "—", "—"]]
    assert lines[-1].endswith("what it takes; 17 more claims")


def test_the_page_of_results_comes_out_of_the_records_to_the_byte(tmp_path: Path) -> None:
    """The command that the page itself names writes it again."""
    page = ROOT / "docs" / "results.md"
    copy = tmp_path / "results.md"
    copy.write_bytes(page.read_bytes())
    folders = [str(path) for path in sorted((ROOT / "docs" / "records").glob("evidence*")) if path.is_dir()]
    assert claims([*folders, "--into", str(copy)]) == 0
    command = "quantdg claims docs/records/evidence*/ --into docs/results.md"
    assert command in page.read_text(encoding="utf-8")
    assert copy.read_bytes() == page.read_bytes(), f"run {command}"


@pytest.mark.parametrize("two", [("--full", "--format", "csv"), ("--into", "page.md", "--full")])
def test_claims_are_shown_in_one_way(folder: Path, two: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        claims([str(folder), *two])
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_page_without_the_markers_is_refused() -> None:
    for page in ("# None\n", "<!-- claims -->\n<!-- claims -->\n<!-- end of claims -->\n"):
        with pytest.raises(ConfigError, match="write both once into it"):
            with_section(page, "", "claims", "it")
