"""Foreign text: no command lets a control character through, and every --json document is JSON."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refengine import commands, execute, load, make_plan
from refengine.bundled import bundled_models
from refengine.commands import main, parser_of
from refengine.device.protocol import Info, TensorInfo
from refengine.errors import InputError, located
from refengine.explanation import as_html, explain
from refengine.judge import diff, read_dump
from refengine.judge.page import as_html as page_of
from refengine.model import Graph, Model, Op, Signature
from refengine.text import Styled, as_json, c_string, counted, hung, in_c, markup, printable
from refengine.tflite_io import dump
from tests.models import const, fed, one_op, q

EVIL = "\x1b[2J\x1b]0;owned\x07\n\r\t\x00\x7f\x9b31m\u202egnp\u2066\u200f\u2028\xad<b>*/\"'\\"
"""ESC, OSC, BEL, line ends, NUL, DEL, a C1 control, bidirectional controls, a line separator, a soft hyphen."""


def harmless(printed: str) -> bool:
    return all(c.isprintable() for line in printed.split("\n") for c in line)


@pytest.mark.slow
def test_what_is_printable_stays_and_the_rest_is_told() -> None:
    assert printable("conv2d/Relu;é 中 ✗ \\") == "conv2d/Relu;é 中 ✗ \\"
    assert printable("a\x1b[31m\n\x9b\u202e\udcff\U000e0001") == r"a\x1b[31m\n\x9b\u202e\udcff\U000e0001"
    assert all(printable(chr(i)).isprintable() for i in range(0x110000))


def test_only_lines_of_our_own_keep_their_escape_sequences() -> None:
    assert printable(Styled("\x1b[0m")) == "\x1b[0m" and printable(str(Styled("\x1b[0m")) + "x") == r"\x1b[0mx"


def test_a_long_line_goes_on_in_its_last_column_or_a_little_indented() -> None:
    row = "  tap    12  one two three four five"
    assert hung(row, 26) == ["  tap    12  one two three", "             four five"]
    assert hung("This is a sentence.", 10) == ["This is a", "sentence."]
    assert hung("numerics: one two three", 14) == ["numerics: one", "  two three"]
    assert hung(row, len(row)) == [row] and hung(Styled(row), 9) == [row]
    assert all(len(part) <= 8 for part in hung("a " + "x" * 30, 8))


def test_markup_is_one_escaped_line() -> None:
    assert markup("<a\n&\x1b\u202e>") == r"&lt;a\n&amp;\x1b\u202e&gt;"


def test_nothing_ends_a_comment_or_string_in_c() -> None:
    assert in_c('a*/"\\?\n\u202eé') == "a_/______"
    assert c_string('a"\\?\n\x1bé1') == r'"a\"\\\?\012\033\303\2511"'


def test_json_is_ascii_without_controls_and_has_words_for_what_is_no_number() -> None:
    value = {EVIL: [np.float32("nan"), np.inf, -np.inf, np.arange(2), (np.int64(3), None, True)], "p": Path("a")}
    told = as_json(value)
    assert told.isascii() and harmless(told)

    def refuse(word: str) -> None:
        raise AssertionError(word)

    read = json.loads(told, parse_constant=refuse)
    assert read == {EVIL: ["NaN", "Infinity", "-Infinity", [0, 1], [3, None, True]], "p": "a"}
    assert [float(word) for word in read[EVIL][1:3]] == [np.inf, -np.inf]


def test_errors_are_printable_lines() -> None:
    with pytest.raises(InputError) as caught, located(f"tensor {EVIL}"):
        raise InputError(EVIL)
    assert harmless(str(caught.value)) and "\n" not in str(caught.value)


# ---- the law of the commands ---------------------------------------------------------------------------------


def named_evilly(model: Model) -> Model:
    """The same model, every text in it hostile."""

    def graph(graph: Graph) -> Graph:
        tensors = tuple(replace(t, name=f"{EVIL}{t.index}") for t in graph.tensors)
        return replace(graph, name=EVIL, tensors=tensors)

    signature = Signature(EVIL, 0, {EVIL: model.graphs[0].inputs[0]}, {EVIL: model.graphs[0].outputs[0]})
    graphs = tuple(map(graph, model.graphs))
    return replace(model, graphs=graphs, description=EVIL, metadata=((EVIL, b"x"),), signatures=(signature,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, an input and dumps, under names as hostile as POSIX allows."""
    folder = tmp_path_factory.mktemp("evil") / EVIL.replace("\x00", "").replace("/", "")
    folder.mkdir()
    for name in ("dense_int8", "stm32f746_float32"):
        (folder / f"{name}.tflite").write_bytes(dump(named_evilly(load(bundled_models()[name]))))
    graph = one_op("RELU", {}, [fed((1, 4), "float32")], fed((1, 4), "float32")).graphs[0]
    ops = (Op(0, "CUSTOM", (0,), (1,), custom_code=EVIL),)
    (folder / "custom.tflite").write_bytes(dump(named_evilly(Model((replace(graph, ops=ops),)))))
    (folder / "broken.tflite").write_bytes((folder / "dense_int8.tflite").read_bytes()[:-3000])
    shape = make_plan(bundled_models()["dense_int8"]).inputs[0].shape
    np.save(folder / "x.npy", np.zeros(shape, np.int8))
    np.save(folder / "floats.npy", np.zeros((2, 28, 28, 1), np.float32))
    np.save(folder / "other.npy", np.arange(784, dtype=np.int8).reshape(shape))
    (folder / "noarray.npz").write_bytes(b"\x1b")
    plan = make_plan(folder / "dense_int8.tflite")
    arrays = {f"t{r.step.outputs[0].index}": r.outputs[0] for r in execute(plan, np.zeros(shape, np.int8))}
    last = plan.outputs[0].index
    meta = np.array(json.dumps({"numerics": "tflm", "board": EVIL, "sha256": plan.model.sha256}))
    wrong = arrays | {f"t{last}": ~arrays[f"t{last}"]} | {"in": np.zeros(shape, np.int8), "__meta__": meta}
    np.savez(folder / "wrong.npz", **wrong)  # type: ignore[arg-type]
    return folder


DEBUG = "list; next; info op; info tensor; info quant; info arena; info break; print in; stats; show; explain 0; why"
MORE = (
    "goto end; print nobody; break \x1b[2J; set 0[0,0] = 1; info changes; compare; save all {}/a.npz; compare {}/a.npz"
)
MODEL, FLOATS, X = "{}/dense_int8.tflite", "{}/stm32f746_float32.tflite", "{}/x.npy"

COMMANDS = [
    ["run", MODEL, "--input", X],
    ["run", MODEL, "--input", X, "--json"],
    ["run", MODEL, "--input", "{}/none.npy"],
    ["run", MODEL, "--input", "{}/noarray.npz"],
    ["run", MODEL, "--input", "{}/floats.npy", "{}/floats.npy", "{}/x.npy"],
    ["run", "{}/broken.tflite", "--input", X],
    ["run", "{}/custom.tflite", "--input", X],
    ["run", MODEL, "--random", "--show", "--trace", "--top", "2"],
    ["run", MODEL, "--random", "--trace", "--top", "2", "-o", "{}/all.npz", "--json"],
    ["run", MODEL, "--input", X, "--against", MODEL],
    ["run", MODEL, "--input", X, "--against", MODEL, "--json"],
    ["reduce", MODEL, "--command", "false {model}", "-o", "{}/small.tflite", "--input", X],
    ["reduce", MODEL, "--command", "false {model}", "-o", "{}/small.tflite", "--json"],
    ["explain", MODEL, "--input", X, "--op", "4", "--at", "0,0"],
    ["explain", MODEL, "--input", X, "--op", "4", "--at", "0,0", "--numerics", "single"],
    ["explain", MODEL, "--input", X, "--op", "4", "--at", "0,0", "--json"],
    ["explain", MODEL, "--input", X, "--op", EVIL.replace("\x00", ""), "--at", "0,0"],
    ["explain", MODEL, "--input", X, "--op", "1", "--at", "0,0,0"],
    ["inspect", MODEL],
    ["inspect", MODEL, "--json"],
    ["inspect", "{}/custom.tflite"],
    ["inspect", "{}/custom.tflite", "--json"],
    ["debug", MODEL, "--input", X, "--command", DEBUG, "--command", MORE],
    ["health", MODEL, "--data", X],
    ["health", MODEL, "--data", X, "--json"],
    ["evaluate", MODEL, "--limit", "5"],
    ["evaluate", MODEL, "--limit", "5", "--json"],
    ["diff", MODEL, "{}/wrong.npz", "--input", X],
    ["diff", MODEL, "{}/wrong.npz", "--input", X, "--json", "--html", "{}/page.html"],
    ["check-input", MODEL, "--fed", X, "--sample", X],
    ["check-input", MODEL, "--fed", X, "--sample", "{}/other.npy", "--json"],
    ["check-input", MODEL, "--fed", "{}/other.npy", "--sample", X],
    ["check-input", MODEL, "--fed", "{}/none.npy", "--sample", X],
    ["check-input", MODEL, "--fed", "{}/wrong.npz", "--sample", "{}/noarray.npz"],
    ["quantize", FLOATS, "--data", "{}/floats.npy", "-o", "{}/out.tflite", "--report"],
    ["quantize", FLOATS, "--data", "{}/floats.npy", "-o", "{}/out.tflite", "--report", "--json"],
    ["quantize", FLOATS, "--data", "{}/floats.npy", "-o", "{}/out.tflite", "--keep", "nobody"],
    ["export", MODEL, "-o", "{}/exported"],
    ["export", MODEL, "-o", "{}/exported", "--json"],
    ["export", MODEL, "-o", "{}/array", "--array"],
    ["fuzz", "--command", "false {model} {outputs} \x1b[2J", "--operator", "RELU", "--type", "int8", "--cases", "2"],
    ["fuzz", "--command", "true {model} {outputs}", "--operator", "RELU", "--type", "int8", "--cases", "2", "--json"],
    ["fuzz", "--library", "{}/x.npy", "--operator", "RELU", "--type", "int8", "--cases", "1"],
    ["device", "info", "--port", "fake"],
    ["device", "info", "--port", "fake", "--json"],
    ["\x1b[2J"],
]  # fmt: skip


class EvilDevice:
    """What `device info` asks of a device."""

    info = Info(EVIL, EVIL, EVIL, EVIL, 1000, 0, 512, 1, 1, 1)
    steps = inputs = outputs = states = (TensorInfo(EVIL, 0, 1, (1,), 1, 1.0, 0, 0, EVIL, 0),)

    def __enter__(self) -> EvilDevice:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    "command", COMMANDS, ids=lambda command: " ".join(command).replace("{}/", "").encode("unicode_escape").decode()
)
def test_no_command_prints_what_is_not_printable(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refengine.commands.device.connect", lambda *_, **__: EvilDevice())
    try:
        main([word.replace("{}", str(folder)) if word.startswith(("{}", "goto")) else word for word in command])
    except SystemExit:
        assert command == ["\x1b[2J"]
    printed = capsys.readouterr()
    assert printed.out + printed.err
    assert harmless(printed.out) and harmless(printed.err), printed
    if "--json" in command:
        assert printed.out.startswith('{\n "schema": 1,') and printed.out.isascii()
        json.loads(printed.out, parse_constant=pytest.fail)


def test_every_command_that_has_json_is_among_them() -> None:
    """So that each of their documents is looked at: its schema, its characters, its identities."""
    (commands_of,) = (action.choices for action in parser_of([])._actions if isinstance(action.choices, dict))
    having = {name for name, parser in commands_of.items() if "--json" in parser.format_help() or name == "device"}
    assert having == {command[0] for command in COMMANDS if "--json" in command}


def test_pages_and_reprs_are_harmless_too(folder: Path) -> None:
    plan, x = make_plan(folder / "dense_int8.tflite"), np.load(folder / "x.npy")
    records = list(execute(plan, x))
    page = as_html([explain(plan, records[4], (0, 0))]) + records[4]._repr_html_()
    assert harmless(page) and "<b>" not in page
    for shown in (plan.model, *plan.graph.tensors, *plan.steps, *records, load(folder / "custom.tflite")):
        assert harmless(str(shown)) and harmless(repr(shown))
    report = diff(plan, read_dump(plan, folder / "wrong.npz"), x)
    assert harmless(page_of(report)) and report.differs


def test_exported_c_is_harmless(folder: Path) -> None:
    assert main(["export", str(folder / "dense_int8.tflite"), "-o", str(folder / "c")]) == 0
    for name in ("model.c", "model.h"):
        assert harmless((folder / "c" / name).read_text(encoding="utf-8"))


def calls() -> Iterator[tuple[str, str]]:
    """Every call of a bare name or attribute in the commands: (file, what is called)."""
    for path in Path(commands.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path.name, ast.unparse(node.func)


def test_only_the_front_prints() -> None:
    ways = {"print", "sys.stdout.write", "sys.stdout.writelines", "sys.stderr.write", "Progress", "json.dumps", "Table"}
    assert {file for file, called in calls() if called in ways} == {"_front.py", "_tables.py"}


# ---- one shape for identities --------------------------------------------------------------------------------


def identities(value: Any) -> Iterator[tuple[str, Any]]:
    """Whatever stands under a key that speaks of operators or tensors."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key in ("operator", "tensor"):
                yield key, each
            if key in ("suspects", "kept", "float_operators", "folded") and isinstance(each, list):
                yield from ((key, one) for one in each)
            if key in ("inputs", "outputs") and isinstance(each, list):
                yield from ((key, one) for one in each if one is not None)
            yield from identities(each)
    elif isinstance(value, list):
        for each in value:
            yield from identities(each)


OF_MODELS = [c for c in COMMANDS if "--json" in c and c[0] != "fuzz"]  # that speaks of operators, but of no file's


@pytest.mark.parametrize("command", OF_MODELS, ids=lambda command: command[0])
def test_every_document_says_which_operator_and_tensor_in_the_same_way(
    command: list[str], folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refengine.commands.device.connect", lambda *_, **__: EvilDevice())
    main([word.replace("{}", str(folder)) if word.startswith("{}") else word for word in command])
    told = json.loads(capsys.readouterr().out)
    found = [one for key, one in identities(told) if one is not None]
    assert found or command[0] in ("evaluate",)
    assert all([*one][:3] == ["subgraph", "index", "name"] for one in found)


def test_json_of_a_scale_that_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scale = q(float("nan"))
    model = one_op("ADD", {"fused_activation_function": "NONE"}, [fed((1,), "int8", scale), const([1], "int8", q(1.0))],
                   fed((1,), "int8", q(float("inf"))))  # fmt: skip
    (tmp_path / "m.tflite").write_bytes(dump(model))
    assert main(["inspect", str(tmp_path / "m.tflite"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    (main_graph,) = told["subgraphs"]
    assert main_graph["inputs"][0]["quantization"]["scale"] == ["NaN"]
    assert main_graph["outputs"][0]["quantization"]["scale"] == ["Infinity"]


@pytest.mark.parametrize(("count", "told"), [(0, "0 inputs"), (1, "1 input"), (2, "2 inputs"), (1234, "1,234 inputs")])
def test_one_of_a_kind_is_told_in_the_singular(count: int, told: str) -> None:
    assert counted(count, "input") == told
