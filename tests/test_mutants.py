"""The tool that looks for gaps in the tests: what it changes, and that it tells noticed from unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import mutants
import pytest
import reach


@pytest.fixture
def source(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one file with one test."""
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "_COPIES", [])
    monkeypatch.setattr(mutants, "_FOLDERS", [tmp_path_factory.mktemp("copies")])
    (tmp_path / "adder").mkdir()
    (tmp_path / "tests").mkdir()
    path = tmp_path / "adder" / "sums.py"
    body = '    """1 + 1"""\n    return a + b if a < 9 else f"{a + 1}"\n'
    path.write_text(f"def total(a: int = 1, b: int = 0) -> int:\n{body}")
    (tmp_path / "tests" / "test_sums.py").write_text(
        "import sys; sys.path.insert(0, '.')\nfrom adder.sums import total\n\n"
        "def test_total():\n    assert total(2, 3) == 5\n"
    )
    return path


def test_every_change_is_one_place_of_code_and_no_text(source: Path) -> None:
    found = sorted((m.line, m.before, m.after) for m in mutants.mutants(source))
    assert found == sorted([
        (1, "1", "(2)"),
        (1, "0", "(1)"),
        (3, 'a + b if a < 9 else f"{a + 1}"', "(a + b if not a < 9 else f'{a + 1}')"),
        (3, "a + b", "(a - b)"),
        (3, "a < 9", "(a <= 9)"),
        (3, "9", "(10)"),
    ])  # fmt: skip
    for mutant in mutants.mutants(source):
        assert compile(mutant.applied(source.read_text()), "mutant", "exec")


def test_what_is_no_behaviour_is_left_as_it_is(source: Path) -> None:
    """Decorators of classes, what invents cases, what never happens, and which negative size is open."""
    source.write_text(
        "@dataclass(frozen=True, eq=False)\nclass Sum:\n    terms: int = field(default=0, repr=False)\n\n\n"
        "def noise(count: int, rng: Generator) -> bytes:\n    return rng.bytes(count + 1)\n\n\n"
        "def both(a: list[int], b: list[int]) -> list[int]:\n"
        "    return [x + y for x, y in zip(a, b, strict=True)]\n\n\n"
        "def flat(a: Array) -> Array:\n    return a.reshape(-1)\n    assert a is not None\n"
    )
    assert sorted((m.line, m.before) for m in mutants.mutants(source)) == [(3, "0"), (11, "x + y"), (15, "-1")]


@pytest.mark.slow
def test_what_a_test_notices_is_told_from_what_survives(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "concerning", lambda path: [["tests/test_sums.py"]])
    verdicts = {m.after: mutants.verdict(m)[0] for m in mutants.mutants(source) if m.after in ("(a - b)", "(a <= 9)")}
    assert verdicts == {"(a - b)": "noticed", "(a <= 9)": "SURVIVED"}


def test_tests_that_cannot_be_run_are_no_verdict(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once every mutant counted as noticed, since pytest itself stopped: a score of 100 % of nothing."""
    monkeypatch.setattr(mutants, "concerning", lambda path: [["tests/absent.py"]])
    with pytest.raises(FileNotFoundError, match=r"tests/absent\.py"):
        mutants.verdict(next(mutants.mutants(source)))


def test_a_survivor_is_found_again_although_lines_moved(source: Path) -> None:
    (mutant,) = (m for m in mutants.mutants(source) if m.after == "(a <= 9)")
    source.write_text("X = 1\n" + source.read_text())
    again = mutants.Tried.of(mutant).found()
    assert again is not None and again.line == 4


def test_of_two_equal_changes_in_one_line_the_same_one_is_found_again(source: Path) -> None:
    source.write_text("def same(a: bool) -> bool:\n    return a == a and a == a\n")
    first, second = (m for m in mutants.mutants(source) if m.before == "a == a")
    assert first.applied(source.read_text()) != second.applied(source.read_text())
    for mutant in (first, second):
        again = mutants.Tried.of(mutant).found()
        assert again == mutant


@pytest.mark.slow
def test_only_tests_that_reach_the_function_are_asked(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that says that the test reaches something else."""
    monkeypatch.setattr(mutants, "concerning", lambda path: [["tests/test_sums.py"]])
    (mutant,) = (m for m in mutants.mutants(source) if m.after == "(a - b)")
    record = reach.kept(mutants.ROOT, "tests/test_sums.py")
    record.parent.mkdir(parents=True)
    monkeypatch.setattr(mutants, "_copy", lambda: mutants.ROOT)
    for name, verdict in (("adder/sums.py:total", "noticed"), ("adder/sums.py:other", "SURVIVED"), ("*", "noticed")):
        tests = {"tests/test_sums.py::test_total": [0.1, [0]]}
        record.write_text(json.dumps({"functions": [name], "imports": [], "tests": tests}))
        assert mutants.verdict(mutant)[0] == verdict


@pytest.mark.slow
def test_a_test_that_runs_for_ever_is_noticed_by_its_processor_time(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write_text("def total(a: int, b: int) -> int:\n    while a < 4:\n        a += 1\n    return a + b - 2\n")
    monkeypatch.setattr(mutants, "concerning", lambda path: [["tests/test_sums.py"]])
    monkeypatch.setattr(mutants, "PATIENCE", (0.2, 1))
    (mutant,) = (m for m in mutants.mutants(source) if m.before == "a += 1")
    assert mutants.verdict(mutant)[0] == "noticed"


def test_a_test_that_waits_for_ever_is_no_verdict(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source.write_text("import time\n\n\ndef total(a: int, b: int) -> int:\n    time.sleep(a - 2)\n    return a + b\n")
    monkeypatch.setattr(mutants, "concerning", lambda path: [["tests/test_sums.py"]])
    monkeypatch.setattr(mutants, "TIME_LIMIT", 1)
    (mutant,) = (m for m in mutants.mutants(source) if m.after == "(a + 2)")
    assert mutants.verdict(mutant)[0] == "HUNG"


@pytest.mark.slow
def test_a_kept_sample_goes_on_and_its_survivors_are_tried_again(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = source.parent / "sample.json"
    monkeypatch.setattr(mutants, "recorded", lambda sample: None)
    monkeypatch.setattr(mutants, "concerning", lambda path: [["tests/test_sums.py"]])
    mutants.main(["adder", "--count", "4", "--seed", "3", "--save", str(file)])
    tried = json.loads(file.read_text())
    assert {each["after"]: each["first"] for each in tried}["(a <= 9)"] == "SURVIVED"
    for each in tried[:2]:
        each["first"] = each["now"] = None
    file.write_text(json.dumps(tried))
    capsys.readouterr()
    mutants.main(["--save", str(file)])
    assert [line[:4] for line in capsys.readouterr().out.splitlines()] == ["1/2 ", "2/2 ", "when", "by t"]
    test = source.parents[1] / "tests" / "test_sums.py"
    test.write_text(test.read_text() + "\n\ndef test_nine():\n    assert total(9, 1) == '10'\n")
    monkeypatch.setattr(mutants, "_COPIES", [])
    mutants.main(["--again", str(file)])
    assert {each["after"]: each["now"] for each in json.loads(file.read_text())}["(a <= 9)"] == "noticed"


def test_the_interval_is_wilsons() -> None:
    """9 of 10: from 59.6 % to 98.2 %."""
    assert mutants.interval(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)


@pytest.mark.slow
def test_every_file_has_tests_that_exist() -> None:
    for place in mutants.PLACES:
        files = [mutants.ROOT / place] if place.endswith(".py") else (mutants.ROOT / place).rglob("*.py")
        for file in files:
            for tests in mutants.concerning(str(file.relative_to(mutants.ROOT))):
                paths = [t for t in tests if t.startswith("tests/")]
                assert paths and all((mutants.ROOT / t).exists() for t in paths)
