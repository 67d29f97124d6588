"""The debugger: every command as one types it, the language of conditions, and what if."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refengine import InputError, Record, execute, make_plan
from refengine.bundled import bundled_models
from refengine.commands import main
from refengine.debugger import START, Breakpoint, Console, Session, debug, split
from refengine.debugger.compare import compared
from refengine.debugger.condition import condition, index
from refengine.errors import RefengineError
from refengine.model import Array, Model, Tensor
from refengine.plan import Plan, Step
from refengine.strategies import model_of
from refengine.tensors.datasets import bundled_digits
from refengine.tensors.inputs import pixels_to_input
from refengine.tensors.pictures import coloured_blocks, grey, grid, maps, mosaic
from refengine.tensors.stats import histogram, real_values, stats

from ..models import const, fed, one_op, present, q, svdf
from ..test_execute import codes, two_layers

FC = {"fused_activation_function": "NONE", "keep_num_dims": False, "quantized_bias_type": "float32"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(bundled_models()["stm32f746_int8"])


@pytest.fixture(scope="module")
def seven(plan: Plan) -> Array:
    images, labels = bundled_digits()
    return pixels_to_input(plan, images[labels == 7][:1])


@pytest.fixture
def session(plan: Plan, seven: Array) -> Session:
    return Session(plan, seven)


class Prompt:
    """Runs the commands of a line; the last one's answer."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, line: str) -> list[str]:
        answer: list[str] = []
        for command in split(line):
            answer = list(self.console.run(command))
        return answer


@pytest.fixture
def ask(session: Session) -> Prompt:
    return Prompt(Console(session))


def told(ask: Prompt, line: str) -> str:
    return "\n".join(ask(line))


# ---- moving -----------------------------------------------------------------------------------------------


def test_the_records_are_those_of_execute(session: Session, plan: Plan, seven: Array) -> None:
    session.advance()
    for mine, theirs in zip((session.record(i) for i in range(len(plan.steps))), execute(plan, seven), strict=True):
        assert mine.step is theirs.step
        assert all(np.array_equal(a, b) for a, b in zip(mine.outputs, theirs.outputs, strict=True))


def test_forwards_and_backwards(ask: Prompt, session: Session) -> None:
    moves = {
        "next": 0, "n 3": 3, "back": 2, "b SOFTMAX; c": 11, "back 4": 7, "goto 2": 2, "until MAX_POOL_2D": 3, "u 5": 5,
        "goto start": START, "s": 0, "run": 11, "rn 2": 9, "goto end": 11, "goto softmax": 11, "back 99": START,
        "n 99": 11,
    }  # fmt: skip
    for line, position in moves.items():
        ask(line)
        assert session.position == position, line


def test_going_back_computes_nothing(ask: Prompt, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("goto end")
    records = [session.record(i) for i in range(12)]
    monkeypatch.setattr(session, "_run", None)
    ask("goto 0; c; back 3; goto start; next")
    assert session.current is records[0]


def test_a_record_is_made_only_when_one_gets_there(session: Session) -> None:
    session.goto(1)
    assert len(session._records) == 2


@pytest.mark.parametrize(
    ("spec", "stops"),
    [
        ("4", [4]),
        ("softmax", [11]),
        ("CONV_2D", [0, 2, 4]),
        ("max_pooling2d_1_2", [3]),
        ("StatefulPartitionedCall_1:0", [11]),
        ("if saturation > 0.05", [11]),
        ("if max(abs(out)) == 127", []),  # −128 is 128
        ("if max(out) == 127", [11]),
        ("CONV_2D if zeros > 0.6", [0, 2]),
        ("if mean(real(out)) > 1 and max(out) < 100", None),
    ],
)
def test_breakpoints(ask: Prompt, session: Session, spec: str, stops: list[int] | None) -> None:
    ask(f"break {spec}")
    met = []
    while session.advance():
        met.append(session.position)
    if stops is None:
        stops = [
            i for i in range(12)
            if (real := real_values(session.steps[i].outputs[0], session.record(i).outputs[0])) is not None
            and real.mean() > 1 and session.record(i).outputs[0].max() < 100
        ]  # fmt: skip
        assert stops
    assert met == stops
    if met:
        session.goto(11)
        ask("reverse")
        assert session.position == (stops[-2:-1] or [START])[0] if stops[-1] == 11 else stops[-1]


def test_breakpoints_are_listed_and_removed(ask: Prompt, session: Session) -> None:
    assert ask("info break") == ["no breakpoints"]
    assert ask("break 3; break if zeros > 2")[0] == "breakpoint 2: any operator"
    assert ask("i b") == ["1  3  (operator 3 (MAX_POOL_2D))", "2  if zeros > 2  (any operator)"]
    ask("delete 1")
    assert list(session.breakpoints) == [2]
    ask("d")
    assert not session.breakpoints
    assert ask("b 1")[0].startswith("breakpoint 3:"), "numbers are for good"
    assert ask("run")[0] == "breakpoint 3: 1"


def test_a_watch_stops_where_a_tensor_is_written(ask: Prompt, session: Session) -> None:
    assert ask("watch 16[0,3,4,5]") == [
        "breakpoint 1: watch 16 '…olution;stm32f746_1/conv2d_1_2/Squeeze1'[0, 3, 4, 5], written by operator 2 (CONV_2D)"
    ]
    stopped = ask("c")
    value = session.current.outputs[0][0, 3, 4, 5]
    assert session.position == 2 and stopped[0].endswith(f"/Squeeze1'[0, 3, 4, 5]: {value}")
    assert session.position == 2 and stopped[1].startswith("2 CONV_2D + RELU")
    ask("goto end")
    assert ask("reverse")[0] == stopped[0]
    assert ask("info break")[0].endswith("(operator 2 (CONV_2D))")
    assert ask("delete 1; run")[0].startswith("11 SOFTMAX")
    for wrong, why in (("13", "no operator writes 13"), ("16[0,99,0,0]", "no element"), ("0", "no operator writes 0")):
        with pytest.raises(InputError, match=why):
            ask(f"watch {wrong}")


def test_a_watched_variable_stops_where_it_changes() -> None:
    frames = np.random.default_rng(2).standard_normal((4, 1, 4)).astype(np.float32)
    frames[2] = frames[1]
    plan = make_plan(model_of(svdf(fed((1, 4), "float32"), 2, np.random.default_rng(1))))
    walk = Prompt(Console(Session(plan, frames[0], then=[(frame,) for frame in frames[1:]])))
    assert walk("watch 4[0,3]") == ["breakpoint 1: watch 4 'input4'[0, 3], written by operator 0 (SVDF)"]
    stops = [walk("c") for _ in range(3)]
    assert [stop[1].partition(",")[0] for stop in stops] == ["inference 0", "inference 1", "inference 3"]
    told = [stop[0].rpartition(": ")[2].split(" → ") for stop in stops]
    assert told[0][0] == "0" and [before for before, _ in told[1:]] == [after for _, after in told[:-1]]
    assert walk("print 4[0,3]")[1].split()[-1] == told[-1][1]
    assert walk("delete; watch 4; goto inference 2; c")[0] == "breakpoint 2: watch 4 'input4': 4 of 8 changed"


def test_what_is_nearly_right_is_suggested(ask: Prompt) -> None:
    for wrong, meant in [
        ("contineu", "'contineu' is no command; did you mean 'continue'? help lists them"),
        ("until SOFMAX", "there is no operator 'SOFMAX'; did you mean 'SOFTMAX'? list shows them"),
        ("print max_poolling2d_1", "did you mean 'stm32f746_1/"),
        ("info quantt", "info about what? did you mean 'quant'? op, tensor"),
        ("xyzzy", "'xyzzy' is no command; help lists them"),
    ]:
        with pytest.raises(InputError, match=re.escape(meant)):
            ask(wrong)


# ---- conditions -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record() -> Record:
    """(1, 4) → (1, 3), int8."""
    return next(execute(make_plan(two_layers()), codes(1)))


@pytest.mark.parametrize(
    "text",
    [
        "1 < 2", "max(out) >= min(out)", "out[0, 0] == out[0][0]", "any(out == out[0, 1])", "not all(out == 200)",
        "sum(out) - sum(out) == 0", "min(weights) < 0 < max(weights)", "-1 < 0 and (2 > 3 or 7 % 4 == 3)",
        "abs(real(input)[0, 0]) == abs(input[0, 0]) * 0.5", "7 // 2 == 3 and 1 / 2 == 0.5", "0 <= zeros <= 1",
        "mean(abs(out)) >= abs(mean(out))",
    ],
)  # fmt: skip
def test_conditions_that_hold(record: Record, text: str) -> None:
    assert condition(text)(record)
    assert not condition(f"not ({text})")(record)


OUTSIDE = """
    __import__('os') | open('x') | exec('1') | print(out) | out.shape | out.__class__ | ().__class__ | [x for x in out]
    lambda: 0 | max(out, 3) | max(out, axis=0) | max(*out) | max(**out) | max | real | real(3) | nothing > 1
    2 ** 9 | out @ out | 1 << 9 | 'a' == 'a' | f'{out}' | out if 1 else 2 | out is out | 1 in out | *out | ... | None
    out[out] | out[0.5] | out[True] | out[lambda: 0] | (x := 3) | 1j > 0 | {} | await out
"""


@pytest.mark.parametrize("text", re.split(r" \| |\n +", OUTSIDE.strip()))
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not (known|understood)|no index|no integer"):
        condition(text)


@pytest.mark.parametrize("text", ["", "max(", "(" * 300, "-" * 299 + "1 > 0", "1;2", "x = 3", "\0", "1 >" + " 1" * 300])
def test_nonsense_is_not_understood(text: str) -> None:
    with pytest.raises(InputError):
        condition(text)


@pytest.mark.parametrize("text", ["out[0, 0, 0, 9] > 0", "1 // 0 == 1", "1 % 0", f"max(out) + {10**60} > 0 and 1 // 0"])
def test_a_condition_does_not_hold_where_it_makes_no_sense(record: Record, text: str) -> None:
    assert not condition(text)(record)


def test_steps_without_weights(plan: Plan, seven: Array) -> None:
    records = list(execute(plan, seven))
    holds = [record.step.op.name for record in records if condition("max(weights) == 127")(record)]
    assert holds == ["CONV_2D"] * 3 + ["FULLY_CONNECTED"] * 2


def test_whole_arrays_say_neither_yes_nor_no(ask: Prompt) -> None:
    with pytest.raises(InputError, match=r"ask for any"):
        ask("break if out > 3")
    assert ask("info break") == ["no breakpoints"]


def test_indices() -> None:
    assert index("0, -1, :, 2:5, ::3") == (0, -1, slice(None), slice(2, 5), slice(None, None, 3))
    for text in ("x", "0.5", "", "0][0", "...", "1:x", "True"):
        with pytest.raises(InputError):
            index(text)


# ---- looking ----------------------------------------------------------------------------------------------


def test_print_shows_codes_beside_real_values(ask: Prompt, session: Session) -> None:
    ask("goto 10")
    logits = session.current.outputs[0]
    lines = ask("print out")
    assert lines[0].startswith("24 '…")
    raw, real = ([half.split() for half in line.partition("]")[2].split("=")] for line in lines[1:3])
    assert [int(code) for code in raw[0] + real[0]] == logits.ravel().tolist()
    reals = real_values(session.current.step.outputs[0], logits)
    assert [float(x) for x in raw[1] + real[1]] == pytest.approx(present(reals).ravel().tolist(), rel=1e-3)


def test_print_takes_slices_and_many_names(ask: Prompt, session: Session) -> None:
    ask("goto 2")
    out = session.current.outputs[0]
    assert ask("p out[0,3,4,5]") == ask("p 16[0, 3, 4, 5]") == ask("p conv2d_1_2[0,3,4,5]")
    assert f"{out[0, 3, 4, 5]}  =" in ask("p out[0,3,4,5]")[1]
    assert ask("p out[0,-1,-1,-1]")[1].startswith("[0, 10, 10, 63] ")
    assert ask("p in")[0].startswith("15 ") and ask("p in1")[0].startswith("11 ") and ask("p in2")[0].startswith("10 ")
    full = session.plan.graph.tensors[16].name
    assert ask(f'p "{full}"[0,3]') == ask("p out[0,3]")
    assert ask("p out[0:0]")[1:] == ["no elements"]
    assert "more of 7,744 values" in ask("p out")[-1]
    assert ask("goto start; p out")[0].startswith("0 "), "the output of the start is the input"


def test_real_values_of_each_channel(ask: Prompt, plan: Plan) -> None:
    weights = plan.graph.tensors[13]
    code, real = ask("p 13[5,1,1,0]")[1].partition("]")[2].split("=")
    assert int(code) == present(weights.data)[5, 1, 1, 0]
    assert float(real) == pytest.approx(
        present(weights.data)[5, 1, 1, 0] * present(weights.quantization).scale[5], rel=1e-3
    )


def test_stats() -> None:
    tensor = fed((1, 8), "int8", q(0.5, -128))
    found = stats(tensor, np.array([[-128, -128, -128, 0, 0, 12, 127, 127]], np.int8))
    assert (found.min, found.max, found.zeros) == (-128, 127, 3 / 8)
    assert (found.below, found.above, found.saturation) == (3 / 8, 2 / 8, 2 / 8), "a ReLU's zeros are no saturation"
    shifted = stats(fed((1, 8), "int8", q(0.5, 0)), np.array([[-128, -128, 0, 0, 0, 12, 127, 127]], np.int8))
    assert shifted.saturation == 4 / 8
    relu6 = stats(tensor, np.array([[-128, -116, -116, -100]], np.int8), "RELU6")
    assert relu6.above == 3 / 4, "6 / 0.5 − 128 is −116"
    floats = stats(fed((4,), "float32"), np.array([np.nan, 0.0, 2.5, np.inf], np.float32))
    assert (floats.nans, floats.min, floats.max, floats.zeros, floats.above) == (1, 0.0, np.inf, 0.25, 1 / 3)
    with pytest.raises(InputError, match="no values"):
        stats(tensor, np.zeros((1, 0), np.int8))


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        (fed((300,), "int8", q(0.5)), np.arange(300) % 256 - 128),
        (fed((300,), "int16", q(0.5)), np.arange(300) * 200 - 30000),
        (fed((300,), "int32"), np.arange(300) * 7 - 3),
        (fed((300,), "int32"), np.full(300, 5)),
        (fed((300,), "float32"), np.linspace(-1, 1, 300)),
        (fed((300,), "float32"), np.full(300, 0.5)),
        (fed((300,), "float32"), np.arange(300) % 2 * 1e-45),
    ],
)
def test_histograms_count_everything_once(tensor: Tensor, values: Array) -> None:
    bins = histogram(tensor, values.astype(tensor.dtype))
    assert sum(each.size for each in bins) == 300 and len(bins) <= 16
    exact = values.astype(tensor.dtype).astype(np.float64)
    for each in bins[:-1]:
        below = exact < each.high if tensor.dtype == "float32" else exact <= each.high
        assert each.size == np.sum((exact >= each.low) & below)


def test_histograms_of_the_largest_integers() -> None:
    ends = np.array([-(2**63), 2**63 - 1, 0])
    bins = histogram(fed((3,), "int64"), ends)
    assert [each.size for each in bins if each.size] == [1, 1, 1] and (bins[0].low, bins[-1].high) == (
        -(2**63),
        2**63 - 1,
    )


def test_stats_as_text(ask: Prompt) -> None:
    text = told(ask, "goto SOFTMAX; stats")
    assert "min     -128        0\n" in text and "max     127         0.9961\n" in text
    assert "zeros   90.00%" in text and "clamped 90.00% at -128, 10.00% at 127" in text
    assert "-128 …  -113  9  90.0%  ████████████████████████████████████████" in text
    with pytest.raises(InputError, match="scale for each channel"):
        ask("stats 13[0]")
    assert "at -128, " in told(ask, "stats 13")


def test_list_marks_where_one_stands(ask: Prompt) -> None:
    assert ask("list")[0].startswith("→")
    lines = ask("b SOFTMAX; goto 3; l")
    assert len(lines) == 13
    assert lines[4].split()[:3] == ["→", "3", "MAX_POOL_2D"] and "int8 1×5×5×64" in lines[4]
    assert lines[12].startswith("B  11  SOFTMAX")


def test_info(ask: Prompt) -> None:
    assert "fused_activation_function = 'RELU'" in told(ask, "goto 0; info op")
    assert "  input_offset = 128" in ask("info op")
    assert "activation_max = 127" in told(ask, "info op 10")
    assert "written by operator 0 (CONV_2D)" in told(ask, "info tensor out")
    assert "real = 0.00390625 · (code + 128): -128 is 0, 127 is 0.9961" in told(ask, "i q 25")
    assert "… 22 more of 32 channels" in told(ask, "i quant 13")
    assert "no quantisation" in told(ask, "i q 19")
    arena = ask("info arena")
    assert arena[1].split()[:4] == ["0", "784", "21,632", "██···········"]
    assert arena[-2:] == [
        "alive now 22,416 bytes; at most 27,040, at operator 1 (MAX_POOL_2D)",
        "TFLM's greedy layout takes 27,040 bytes, its own bookkeeping not counted",
    ]


def test_explain_ends_in_the_element(ask: Prompt, session: Session) -> None:
    ask("goto 2")
    value = session.current.outputs[0][0, 3, 4, 7]
    assert ask("explain 3,4,7")[-1].startswith(f"= {value}, which stands for")
    assert ask("e 0,3,4,7") == ask("e [3, 4, 7]") == ask("e 3,4,7")
    assert len(ask("e full 3,4,7")) > 288 > len(ask("e 3,4,7"))
    assert ask("e --full 3,4,7") == ask("e full 3,4,7")
    assert any("(explain full 0,3,4,7 shows all)" in line for line in ask("e 3,4,7"))


def test_why_adds_up(ask: Prompt, session: Session) -> None:
    lines = ask("why 3")
    assert lines[0].startswith("class 3: logit 18") or "class 3" in lines[0]
    rows = [line.split() for line in lines[4:]]
    products = [int(row[-2]) for row in rows]
    assert sum(products[:-1]) == products[-1]
    shown = [int(row[1]) * int(row[2]) for row in rows if row[0].startswith("[")]
    assert shown == products[:10] and shown == sorted(shown, key=abs, reverse=True)
    logit = float(lines[0].split()[-1])
    assert float(rows[-1][-1]) == pytest.approx(
        logit, abs=present(session.plan.graph.tensors[24].quantization).scale[0]
    )
    assert ask("why")[0].startswith("class 7")


def test_why_of_float_and_int16(seven: Array) -> None:
    images, labels = bundled_digits()
    for name in ("stm32f746_float32", "esp32_int16x8"):
        plan = make_plan(bundled_models()[name])
        lines = list(Console(Session(plan, pixels_to_input(plan, images[labels == 7][:1]))).run("why"))
        assert lines[0].startswith("class 7")
        assert float(lines[-1].split()[-1]) == pytest.approx(float(lines[0].split()[-1]), rel=1e-3)


# ---- pictures ---------------------------------------------------------------------------------------------


def test_maps() -> None:
    assert maps(np.zeros((1, 5, 6, 3))).shape == (3, 5, 6)
    assert maps(np.zeros((4, 5, 6, 3))).shape == (12, 5, 6)
    assert maps(np.zeros((1, 49))).shape == (1, 7, 7)
    assert maps(np.zeros((1, 10))).shape == (1, 1, 10)
    assert maps(np.zeros(())).shape == (1, 1, 1)
    image = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(maps(image)[2], image[..., 2])
    for shape in [(0,), (2, 2, 2, 2, 2)]:
        with pytest.raises(InputError):
            maps(np.zeros(shape))


def test_greys_span_from_black_to_white() -> None:
    assert grey(np.array([[-128, 127, -1]], np.int8)).tolist() == [[0, 255, 127]]
    assert grey(np.array([np.nan, np.inf, -np.inf, 0.0, 1.0])).tolist() == [0, 255, 0, 0, 255]
    assert grey(np.full(3, 7)).tolist() == [0, 0, 0] and grey(np.full(2, np.nan)).tolist() == [0, 0]


def test_grids() -> None:
    pictures = np.zeros((3, 2, 4), np.uint8)
    pictures[1] = 255
    assert grid(pictures, ["a", "b", "c"], 10, colour=False) == ["a    b", "     ████", "c", ""]
    assert grid(pictures[:1, :, :3], ["12345"], 80, colour=False) == ["12345", ""]
    wide = np.zeros((1, 6, 50), np.uint8)
    wide[:, :, 25:] = 255
    assert all(len(line) <= 20 for line in grid(wide, ["x"], 20, colour=False))
    assert mosaic(pictures).shape == (8, 4) and mosaic(pictures)[:, 0].tolist() == [0, 0, 128, 255, 255, 128, 0, 0]


def test_colours_are_the_greys_of_xterm() -> None:
    (line,) = coloured_blocks(np.array([[0, 255], [255, 0]], np.uint8))
    assert line == "\x1b[38;5;232;48;5;255m▀\x1b[38;5;255;48;5;232m▀\x1b[0m"


def test_show(ask: Prompt) -> None:
    assert told(ask, "show").count("█") > 20, "the input, a seven"
    ask("goto 2")
    assert ask("show out[3]") == ask("show out[3:4]")
    assert ask("show out[8:11]")[1].split() == ["8", "9", "10"]
    assert "more of 2048 maps" in told(ask, "show 11")
    assert ask("show out[0,:,:,3]")[2:] == ask("show out[3]")[2:]
    with pytest.raises(InputError, match="no element"):
        ask("show out[64]")


# ---- files ------------------------------------------------------------------------------------------------


def test_save_and_compare(ask: Prompt, session: Session, tmp_path: Path) -> None:
    ask(f"goto 2; save out {tmp_path}/a.npy; save out[0,:,:,3] {tmp_path}/b.npy; save out {tmp_path}/c.npz")
    out = session.current.outputs[0]
    assert np.array_equal(np.load(tmp_path / "a.npy"), out)
    assert np.array_equal(np.load(tmp_path / "b.npy"), out[0, :, :, 3])
    with np.load(tmp_path / "c.npz") as archive:
        assert np.array_equal(archive[session.plan.graph.tensors[16].name], out)
    ask(f"save out {tmp_path}/d.png; save out[3] {tmp_path}/e.png")
    picture = np.asarray(Image.open(tmp_path / "e.png"))
    assert np.array_equal(picture, grey(maps(out)[3:4])[0])
    assert np.asarray(Image.open(tmp_path / "d.png")).shape == (95, 95)
    assert ask(f"save all {tmp_path}/all.npz; compare {tmp_path}/all.npz")[-1] == "equal: 13 tensors"
    assert ask(f"compare {tmp_path}/a.npy")[-1] == "equal: 1 tensor"
    ask(f'save out "{tmp_path}/with space.npy"; compare "{tmp_path}/with space.npy" out')
    assert ask(f"goto 5; compare {tmp_path}/a.npy 16")[-1] == "equal: 1 tensor"


def test_compare_says_where(ask: Prompt, session: Session, tmp_path: Path) -> None:
    ask("goto 4")
    out = session.current.outputs[0]
    other = out.copy()
    other[0, 1, 2, 3] += 5
    other[0, 2, 2, 60] += 9
    np.savez(tmp_path / "x.npz", **{"18": other, "17": session.record(3).outputs[0], "nobody": out, "t16": out})
    lines = ask(f"compare {tmp_path}/x.npz")
    assert lines[0] == "'nobody': the model has no such tensor"
    assert "int8 (1, 11, 11, 64) here and int8 (1, 3, 3, 64) there" in lines[1]
    assert lines[2].endswith("equal")
    here, there = out[0, 1, 2, 3], other[0, 1, 2, 3]
    assert lines[3].endswith(f"2 of 576 differ, by 9 at most; first [0, 1, 2, 3]: {here} here, {there} there")
    assert lines[4] == "2 of 3 tensors differ; the first to be computed is the output of operator 2 (CONV_2D)"


def test_floats_are_compared_by_their_bits() -> None:
    tensor = fed((3,), "float32")
    zeros = np.array([0.0, np.nan, 1.0], np.float32)
    assert compared(tensor, zeros, zeros.copy()) is None
    found = compared(tensor, zeros, np.array([-0.0, np.nan, 1.0], np.float32))
    assert found is not None and (found.count, found.first) == (1, (0,))
    with pytest.raises(InputError):
        compared(tensor, zeros, zeros.astype(np.float64))
    assert compared(tensor, zeros, zeros.reshape(1, 3)) is None


def test_floats_are_apart_by_ulps(tmp_path: Path) -> None:
    model = one_op("RELU", {}, [fed((1, 2), "float32")], fed((1, 2), "float32"))
    session = Session(make_plan(model), np.array([[1.0, 2.0]], np.float32))
    session.advance()
    np.save(tmp_path / "y.npy", np.array([[1.0, np.nextafter(np.float32(2), np.float32(3))]], np.float32))
    line = next(iter(Console(session).run(f"compare {tmp_path}/y.npy")))
    assert "1 of 2 differ, by 1 ULP at most; first [0, 1]: 2 here" in line


def test_any_nan_is_any_other_as_in_diff() -> None:
    mine, theirs = (np.array([bits, 0x3F800000], np.uint32).view(np.float32) for bits in (0x7FC00000, 0xFFC00001))
    assert compared(fed((2,), "float32"), mine, theirs) is None
    found = compared(fed((2,), "float32"), mine, np.array([1.0, 1.0], np.float32))
    assert found is not None and (found.count, found.largest) == (1, np.inf)


# ---- what if ----------------------------------------------------------------------------------------------


def walked(session: Session) -> list[np.ndarray]:
    return [session.record(i).outputs[0] for i in range(len(session.steps))]


def test_set_computes_later_steps_again_and_no_others(ask: Prompt, session: Session, plan: Plan, seven: Array) -> None:
    before = walked(session)
    ask("goto 2; set out[0,:,:,3] = 100")
    after = walked(session)
    changed = before[2].copy()
    changed[0, :, :, 3] = 100
    assert np.array_equal(after[2], changed)
    assert all(np.array_equal(a, b) for a, b in zip(after[:2], before[:2], strict=True))
    expected = [r.outputs[0] for r in execute(plan, seven, known={16: changed})]
    assert all(np.array_equal(a, b) for a, b in zip(after, expected, strict=True))
    assert not np.array_equal(after[4], before[4])
    assert ask("info changes")[0].endswith("[0, :, :, 3] = 100")
    ask("set 18[0,0,0,0] = 5; undo")
    assert all(np.array_equal(a, b) for a, b in zip(walked(session), after, strict=True))
    ask("set 18[0,0,0,0] = 5; reset")
    assert all(np.array_equal(a, b) for a, b in zip(walked(session), before, strict=True))
    assert ask("info changes") == ["nothing is set"]


def test_what_does_not_depend_on_a_set_value_is_not_computed_again(
    plan: Plan, seven: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only equal: its kernels are not called."""
    computed: list[int] = []
    evaluate = Step.evaluate

    def counted(step: Step, *arrays: Array) -> object:
        computed.append(step.index)
        return evaluate(step, *arrays)

    monkeypatch.setattr(Step, "evaluate", counted)
    session = Session(plan, seven)
    walked(session)
    assert computed == list(range(len(plan.steps)))
    computed.clear()
    session.set(plan.steps[2].outputs[0], (0, 0, 0, 3), 100)
    walked(session)
    assert computed == list(range(3, len(plan.steps)))


def test_set_the_input_is_another_inference(ask: Prompt, session: Session, plan: Plan, seven: Array) -> None:
    ask("goto 4; set serving[0,14,14,0] = 127")
    other = seven.copy()
    other[0, 14, 14, 0] = 127
    expected = [r.outputs[0] for r in execute(plan, other)]
    assert all(np.array_equal(a, b) for a, b in zip(walked(session), expected, strict=True))
    assert session.position == 4
    assert "first [0, 14, 14, 0]: 127 here" in told(ask, "compare")


def test_the_input_is_in_before_the_first_step(ask: Prompt, session: Session) -> None:
    assert session.position == -1
    (told,) = ask("set in[0,14,14,0] = 5")
    assert told.startswith("0 ") and told.endswith(" → 5")
    assert ask("print in[0,14,14,0]") == ask("print out[0,14,14,0]") == ask("print 0[0,14,14,0]")
    assert ask("info changes")[0].endswith("[0, 14, 14, 0] = 5")
    before = ask("print in[0,14,14,0]")
    assert ask("next; print in[0,14,14,0]") == before
    with pytest.raises(InputError, match="the model has 1 input, counted from in0"):
        ask("goto start; print in1")


def test_set_a_weight_prepares_again() -> None:
    plan, x = make_plan(two_layers()), codes(1)
    session = Session(plan, x)
    list(Console(session).run("set w1[1,2] = 77"))
    session.advance()
    data = present(plan.graph.tensors[1].data).copy()
    data[1, 2] = 77
    acc = (x.astype(int) @ data.T)[0] * 0.1
    assert session.record(0).outputs[0][0] == pytest.approx(np.clip(np.round(acc), 0, 127), abs=1)
    assert present(plan.graph.tensors[1].data)[1, 2] != 77 and session.plan is not plan


def test_set_takes_real_values_and_refuses_what_does_not_fit(ask: Prompt, session: Session) -> None:
    ask("goto 10; set out[0,3] = real(1.0)")
    tensor = session.plan.graph.tensors[24]
    (scale,) = present(tensor.quantization).scale
    assert present(real_values(tensor, session.current.outputs[0]))[0, 3] == pytest.approx(1.0, abs=scale)
    for wrong in ("out[0,3] = 128", "out[0,3] = 0.5", "out[0,3] = nan", "out[0,3] = x", "out[0,10] = 1", "out", "= 3"):
        with pytest.raises(InputError):
            ask(f"set {wrong}")
    with pytest.raises(InputError, match="no single scale"):
        ask("set 13[0] = real(1)")
    assert len(session.changes) == 1
    with pytest.raises(InputError, match="set by hand"):
        ask("explain 3")
    with pytest.raises(RefengineError):
        ask("set 1[0] = 99; goto end")


def test_undo_without_a_change(ask: Prompt) -> None:
    with pytest.raises(InputError, match="nothing has been set"):
        ask("undo")


def test_an_interrupted_walk_goes_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.goto(1)

    def interrupted() -> Iterator[Record]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(session, "_run", interrupted())
    with pytest.raises(KeyboardInterrupt):
        session.advance()
    session.advance()
    assert session.position == 11


# ---- the conversation -------------------------------------------------------------------------------------


def test_abbreviations_and_repetition(ask: Prompt) -> None:
    for line in ("co", "re", "un", "s_"):
        with pytest.raises(InputError, match=r"may be (continue, compare|compare, continue|reset|undo)|no command"):
            ask(line)
    list(ask.console.run("n"))
    list(ask.console.run(""))
    assert ask.console.session.position == 1


def test_help(ask: Prompt) -> None:
    listing = told(ask, "help")
    for name in Console.commands():
        assert f"\n{name}" in "\n" + listing
        assert ask(f"help {name}")[0].startswith(name)
    assert "saturation" in told(ask, "h break")


def test_help_fits_the_terminal(ask: Prompt) -> None:
    ask.console.width = 80
    answers = [told(ask, command) for command in ("help", *(f"help {name}" for name in Console.commands()))]
    assert [line for answer in answers for line in answer.splitlines() if len(line) > 80] == []
    assert "  break CONV_2D if zeros > 0.9     share" in told(ask, "help break")


def test_completion(ask: Prompt, tmp_path: Path) -> None:
    (tmp_path / "some dump.npz").touch()
    assert ask.console.complete(f"compare {tmp_path}/some") == [f'"{tmp_path}/some dump.npz"']
    complete = ask.console.complete
    assert complete("sh") == ["show"]
    assert complete("b SOF") == ["SOFTMAX"]
    assert complete("info a") == ["arena"]
    full = ask.console.session.plan.graph.tensors[18].name
    (name,) = complete(f"print {full}")
    assert ask(f"print {name}")[0].startswith("18 ")
    assert complete("b if sat") == ["saturation"] and complete("save al") == ["all"]
    assert complete("nonsense x") == []
    assert "stats" in complete("")


WRONG = """
    foo | next x | goto 99 | goto -7 | goto CONV_2D | goto | back | until | until 99 | break | break nowhere | break if
    break 3 if | delete 3 | print nothing | print 99 | print out[ | print out[0,0,0,0,0,0] | print conv2d
    print out[::0] | info | info foo | info op | show 13[0.5] | stats out[0:0] | save | save out | save out x.jpg
    save out /no/such/folder/x.npy | explain | continue 3 | undo 2 | list x
    save out ~nobody/x.npy | explain | compare nofile.npz | compare x.txt | why x | why 10 | help foo | set
"""


@pytest.mark.parametrize("line", re.split(r" \| |\n +", WRONG.strip()))
def test_wrong_commands_are_errors_of_one_line(ask: Prompt, line: str) -> None:
    with pytest.raises((RefengineError, OSError)) as error:
        ask(line)
    assert "\n" not in str(error.value)


def test_a_batch_is_refused(plan: Plan, seven: Array) -> None:
    with pytest.raises(InputError, match="a batch of 2"):
        Session(plan, np.concatenate([seven, seven]))


def test_names_in_files_are_anybodys() -> None:
    evil = fed((1, 2), "int8", q(0.5), "\x1b[2Jname\n")
    plan = make_plan(one_op("RELU", {}, [fed((1, 2), "int8", q(0.5))], evil))
    console = Console(Session(plan, np.zeros((1, 2), np.int8)))
    for line in ("n", "list", "info op", "info tensor", "stats", "print out", "info arena", "show"):
        assert all(text.isprintable() for text in console.run(line)), line


def test_a_model_of_no_operators() -> None:
    model = Model((two_layers().graphs[0].__class__(0, "main", (fed((1, 2), "int8"),), (0,), (0,), ()),))
    session = Session(make_plan(model), np.zeros((1, 2), np.int8))
    assert session.advance() == [] and session.position == START


@pytest.mark.parametrize("name", bundled_models())
def test_every_command_on_every_network(name: str) -> None:
    images, _ = bundled_digits()
    plan = make_plan(bundled_models()[name])
    console = Console(Session(plan, pixels_to_input(plan, images[:1])))
    for _ in plan.steps:
        for line in ("next", "list", "info op", "info tensor", "info quant", "info arena", "print", "stats", "show"):
            assert list(console.run(line))
        zeros = ",".join("0" for _ in console.session.current.outputs[0].shape)
        if zeros:
            assert list(console.run(f"explain {zeros}"))
    assert list(console.run("why"))
    assert list(console.run("compare"))[-1].startswith("equal: ")


def test_any_step_can_be_a_stop(session: Session) -> None:
    assert session.stop_at(Breakpoint("all", frozenset((0, i) for i in range(12)))) == 1
    assert session.advance() == [1] and session.position == 0


# ---- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def picture(tmp_path: Path) -> str:
    images, labels = bundled_digits()
    Image.fromarray(images[labels == 7][0]).save(tmp_path / "seven.png")
    return str(tmp_path / "seven.png")


def test_commands_from_the_command_line(capsys: pytest.CaptureFixture[str], picture: str) -> None:
    arguments = ["debug", "stm32f746_int8", "--input", picture, "--command", "break SOFTMAX; foo; continue; stats"]
    assert main(arguments) == 1, "one of them was wrong"
    printed = capsys.readouterr()
    assert printed.err == "refengine: 'foo' is no command; help lists them\n"
    lines = printed.out.splitlines()
    assert lines[:2] == ["breakpoint 1: operator 11 (SOFTMAX)", "breakpoint 1: SOFTMAX"]
    assert "  saturation 10.00%" in lines and "\x1b" not in printed.out


def test_commands_from_a_script_or_a_pipe(
    capsys: pytest.CaptureFixture[str], picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "# to the end\ngoto end\n\nprint out[0,7]; quit\nlist\n"
    (tmp_path / "script").write_text(script)
    assert main(["debug", "stm32f746_int8", "--input", picture, "--script", str(tmp_path / "script")]) == 0
    first = capsys.readouterr().out
    assert first.splitlines()[-1] == "[0, 7]  127  =  0.9961"
    monkeypatch.setattr("sys.stdin", io.StringIO(script))
    assert main(["debug", "stm32f746_int8", "--input", picture]) == 0
    assert capsys.readouterr().out == first


def test_the_exit_status_tells_of_wrong_commands_and_differences(
    capsys: pytest.CaptureFixture[str], picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for commands, status in [
        ("goto end; save all same.npz; compare same.npz", 0),
        ("goto 4; save out one.npy; set out[0,0,0,0] = 5; compare one.npy", 1),
        ("set in[0,7,7,0] = 5; compare; quit", 1),
        ("break nobody; continue", 1),
        ("save all /nowhere/x.npz", 1),
        ("quit; nonsense", 0),
    ]:
        assert main(["debug", "stm32f746_int8", "--input", picture, "--command", commands]) == status, commands
    capsys.readouterr()


def test_a_call_from_python(capsys: pytest.CaptureFixture[str], seven: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    session = debug("stm32f746_int8", seven, commands=["break SOFTMAX; c", "back 1"])
    assert session.position == 10 and repr(session).startswith(
        "<Session at operator 10 (FULLY_CONNECTED) of inference 0"
    )
    assert "breakpoint 1: SOFTMAX\n" in capsys.readouterr().out
    assert repr(debug(session.plan, seven, commands="")).startswith("<Session at the start of inference 0, of 1; 0 ch")
    with pytest.raises(InputError, match="'nonsense' is no command"):
        debug("stm32f746_int8", seven, commands="nonsense")
    monkeypatch.setattr("sys.stdin", io.StringIO("next\n"))
    with pytest.raises(InputError, match="there is no terminal to type at; give commands"):
        debug("stm32f746_int8", seven)


def test_one_of_many(capsys: pytest.CaptureFixture[str], tmp_path: Path, plan: Plan) -> None:
    images, labels = bundled_digits()
    np.save(tmp_path / "batch.npy", pixels_to_input(plan, images))
    seventh = str(labels.tolist().index(7))
    arguments = ["debug", "stm32f746_int8", "--input", str(tmp_path / "batch.npy"), "--index", seventh]
    assert main([*arguments, "--command", "goto end"]) == 0
    assert "is largest at 7" in capsys.readouterr().out


def test_what_is_wrong_beforehand_is_an_error(capsys: pytest.CaptureFixture[str], picture: str, tmp_path: Path) -> None:
    np.save(tmp_path / "batch.npy", np.zeros((3, 28, 28, 1), np.int8))
    for arguments, message in [
        (["stm32f746_int8", "--input", picture, picture], "2 inferences"),
        (["stm32f746_int8", "--input", str(tmp_path / "batch.npy")], "3 inferences; choose one by --index"),
        (["stm32f746_int8", "--input", str(tmp_path / "batch.npy"), "--index", "3"], "3 inferences"),
        (["stm32f746_int8", "--input", "none.png"], "No such file"),
        (["none", "--input", picture], "no such file"),
        (["stm32f746_int8", "--input", picture, "--script", "none"], "No such file"),
    ]:
        assert main(["debug", *arguments, "--command", "list"]) == 2
        printed = capsys.readouterr()
        assert message in printed.err and printed.err.count("\n") == 1 and not printed.out


# ---- records in other debuggers ---------------------------------------------------------------------------


def test_records_show_themselves() -> None:
    records = list(execute(make_plan(two_layers()), codes(1)))
    low, high = records[0].outputs[0].min(), records[0].outputs[0].max()
    assert repr(records[0]) == (
        f"<Record of operator 0 (FULLY_CONNECTED): int8 (1, 3), {low} … {high}, "
        f"which stand for {low / 2:g} … {high / 2:g}>"
    )
    assert repr(records[0].step) == "<Step 0 FULLY_CONNECTED: int8 (1, 4), int8 (3, 4) → int8 (1, 3)>"
    table = records[0]._repr_html_()
    assert table.count("<tr>") == 4 and "w1" in table and "clamped" in table
    batch = list(execute(make_plan(two_layers()), codes(5)))[1]
    assert "int8 (5, 2)" in repr(batch) and "int8 (5, 2)" in batch._repr_html_()
    name = one_op("RELU", {}, [fed((1, 2), "int8", q(0.5), "<b>")], fed((1, 2), "int8", q(0.5)))
    (record,) = execute(make_plan(name), np.zeros((1, 2), np.int8))
    assert "<b>" not in record._repr_html_()


def test_a_constant_may_be_known_too(plan: Plan) -> None:
    weights = const(np.ones((2, 4)), "int8", q(0.1), "w")
    model = one_op("FULLY_CONNECTED", FC, [fed((1, 4), "int8", q(0.5)), weights], fed((1, 2), "int8", q(0.5), "y"))
    (record,) = execute(make_plan(model), codes(1), known={2: np.array([[1, 2]], np.int8)})
    assert record.outputs[0].tolist() == [[1, 2]] and not record.outputs[0].flags.writeable
