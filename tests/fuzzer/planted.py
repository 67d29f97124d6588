"""The bugs of planted.c: the public report that each stands for, and what the kit is to say of it.

Run as a script, it prints how long the kit takes to find each of them:

    python -m tests.fuzzer.planted [SEEDS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from refengine import Numerics
from refengine.fuzzer import Library, Result, fuzz
from refengine.fuzzer.search import CHUNK, Task, try_chunk

HERE = Path(__file__).parent
HEADER = HERE.parents[1] / "refengine" / "fuzzer"


Rounding = Literal["double", "single"]


class Plant(NamedTuple):
    """`bug`, by its name in planted.c, in the kernel of `op` at `dtype`; `report` is a repository and its number there,
    or nothing where the kind is known without a report.

    `kinds` is what the kit may call the failure, `claims` the rounding that the kernel claims to compute. `explained`
    must be in the sentence that tells the dialect or known fault which explains it; empty where none is known.
    """

    bug: str
    op: str
    report: str
    cause: str
    explained: str = ""
    kinds: tuple[str, ...] = ("differs",)
    dtype: str = "int8"
    claims: Rounding = "double"

    def __str__(self) -> str:
        return f"{self.bug}-{self.op}-{self.dtype}"


CONV, DEPTHWISE, DENSE = "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"
LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"
MAX, AVERAGE = "MAX_POOL_2D", "AVERAGE_POOL_2D"

PLANTS = (
    # padding, stride, dilation, shapes
    Plant(
        "ODD_PIXEL_TOP_LEFT",
        CONV,
        "ARM-software/CMSIS_5#831",
        "SAME's odd pixel goes to the top and left",
        explained="odd pixel of SAME padding",
    ),
    Plant("BOTTOM_RIGHT_UNPADDED", CONV, "espressif/esp-nn#31", "asymmetric SAME: only the top and left are padded"),
    Plant(
        "PADDING_WITH_CODE_ZERO",
        CONV,
        "apache/tvm#4807",
        "padded with code 0, not with the zero point",
        explained="code 0 instead of the zero point",
    ),
    Plant(
        "DILATION_IGNORED", CONV, "tensorflow/tflite-micro#2319", "dilation is ignored", explained="dilation is ignored"
    ),
    Plant(
        "DILATION_IGNORED",
        DEPTHWISE,
        "tensorflow/tflite-micro#1231",
        "dilation is ignored",
        explained="dilation is ignored",
    ),
    Plant(
        "POINTWISE_IGNORES_STRIDE", CONV, "majianjia/nnom#84", "the fast path for 1×1 filters takes any stride for 1"
    ),
    Plant(
        "FIRST_BATCH_ONLY",
        CONV,
        "ARM-software/CMSIS_5#909",
        "only the first image of a batch is computed",
        kinds=("never written",),
    ),
    Plant(
        "FIRST_BATCH_ONLY", MAX, "tensorflow/tflite-micro#3584", "the batch is taken for 1", kinds=("never written",)
    ),
    Plant(
        "FIRST_BATCH_ONLY",
        DENSE,
        "tensorflow/tensorflow#53501",
        "only the first dimension counts as batch",
        kinds=("never written",),
    ),
    Plant(
        "FIRST_ROW_ONLY",
        DENSE,
        "ARM-software/CMSIS_5#880",
        "every row of a batch is written over the first",
        kinds=("never written",),
    ),
    Plant(
        "GROUPS_IGNORED", CONV, "GreenWaves-Technologies/gap_sdk#221", "every group reads the first group's channels"
    ),
    Plant(
        "DEPTH_MULTIPLIER_ORDER",
        DEPTHWISE,
        "ARM-software/ComputeLibrary#553",
        "depth multiplier: channels interleaved wrong",
    ),
    # blocks of channels, and what is left over
    Plant("DEPTH_BY_4", CONV, "alibaba/MNN#4869", "input channels beyond a multiple of 4 are lost"),
    Plant("DEPTH_BY_8", DENSE, "ggml-org/llama.cpp#29131", "elements beyond a multiple of 8 are lost"),
    Plant(
        "CHANNELS_BY_2",
        CONV,
        "ARM-software/CMSIS_5#801",
        "output channels come in pairs; an odd last one is not written",
        kinds=("never written",),
    ),
    Plant(
        "CHANNELS_BY_4",
        DENSE,
        "espressif/esp-nn#34",
        "output channels beyond a multiple of 4 are not written",
        kinds=("never written",),
    ),
    Plant("LEFT_OVER_CHANNELS_INDEX", DEPTHWISE, "ARM-software/CMSIS_5#682", "left-over channels use the wrong index"),
    Plant("TWO_CHANNELS", DENSE, "espressif/esp-nn#34", "two output channels: both get the first one's bias and scale"),
    Plant(
        "CHANNELS_BY_4",
        MAX,
        "ARM-software/CMSIS_5#1131",
        "pools: channels beyond a multiple of 4 are lost",
        kinds=("never written",),
    ),
    Plant(
        "WRITES_4_AT_A_TIME",
        CONV,
        "ARM-software/CMSIS_5#1092",
        "the last store is four wide and runs over the end",
        kinds=("writes outside",),
    ),
    # offsets, bias, accumulator
    Plant(
        "INPUT_OFFSET_8_BITS",
        CONV,
        "foss-for-mips-arc-processors/embarc_mli#279",
        "zero point −128: offset 128 wraps in 8 bits",
    ),
    Plant(
        "INPUT_OFFSET_SIGN",
        DENSE,
        "ARM-software/ComputeLibrary#1033",
        "the input's zero point is added, not subtracted",
        explained="zero point of the input has the wrong sign",
    ),
    Plant(
        "WEIGHTS_OFFSET_IGNORED",
        DENSE,
        "tensorflow/tflite-micro#2469",
        "the weights' zero point is ignored",
        explained="zero point of the weights is taken for 0",
    ),
    Plant("BIAS_NOT_OPTIONAL", DENSE, "ARM-software/CMSIS_5#920", "without a bias, other memory is read as one"),
    Plant("BIAS_REQUIRED", DENSE, "tensorflow/tflite-micro#685", "without a bias, the kernel fails", kinds=("fails",)),
    Plant("ACCUMULATOR_16_BITS", CONV, "Tencent/ncnn#717", "sums of products in 16 bits"),
    Plant("ACCUMULATOR_SATURATES", CONV, "tum-ei-eda/muriscv-nn#46", "the accumulator saturates where TFLM's wraps"),
    Plant(
        "PER_TENSOR",
        DENSE,
        "tensorflow/tflite-micro#2602",
        "per-channel weights are scaled by the first channel's scale",
        explained="one scale, the first channel's",
    ),
    # rescaling
    Plant("SINGLE_ROUNDING", CONV, "tensorflow/tflite-micro#3130", "one rounding instead of two", "single rounding"),
    Plant("SINGLE_ROUNDING", DENSE, "ARM-software/CMSIS-NN#214", "one rounding instead of two", "single rounding"),
    Plant(
        "SINGLE_ROUNDING_32_BITS",
        CONV,
        "ARM-software/CMSIS-NN#220",
        "one rounding, and 33 bits kept in 32",
        claims="single",
    ),
    Plant("FLOAT_RESCALING", CONV, "tensorflow/tensorflow#102943", "float32 product, halves to even", "XNNPACK"),
    Plant(
        "ROUND_DOWN", CONV, "ARM-software/CMSIS_5#1047", "the bits shifted out are dropped", explained="requantisation"
    ),
    Plant("HALF_UP", CONV, "tum-ei-eda/muriscv-nn#3", "negative halves are rounded up"),
    Plant("LOGICAL_SHIFT", CONV, "ARM-software/CMSIS_5#896", "negative numbers are shifted as unsigned ones"),
    Plant("RIGHT_SHIFTS_ONLY", CONV, "ARM-software/CMSIS-NN#108", "left shifts are left out"),
    Plant("SHIFT_SIGN", CONV, "ARM-software/CMSIS-NN#108", "left and right shifts are confused"),
    Plant("SHIFT_31", CONV, "ARM-software/CMSIS-NN#114", "shifts of 31 do nothing"),
    # output
    Plant(
        "OUTPUT_OFFSET_UNUSED",
        "MUL",
        "ARM-software/CMSIS_5#664",
        "the output's zero point is not added",
        explained="zero point of the output is not added",
    ),
    Plant("OUTPUT_OFFSET_16_BITS", CONV, "google/ruy#272", "the output's zero point is added in 16 bits, which wrap"),
    Plant("CLAMP_BEFORE_OFFSET", CONV, "", "clamped first, and the zero point added then"),
    Plant(
        "ACTIVATION_IGNORED",
        DEPTHWISE,
        "tensorflow/tflite-micro#875",
        "the fused activation is ignored",
        explained="the fused activation is not applied",
    ),
    # memory
    Plant(
        "ALIGNED_LOADS",
        DENSE,
        "espressif/esp-nn#34",
        "loads ignore the low bits of the address",
        kinds=("unsteady", "differs"),
    ),
    Plant(
        "SCRATCH_NOT_CLEARED",
        CONV,
        "zephyrproject-rtos/zephyr#113644",
        "sums begin with what the last one left",
        kinds=("unsteady", "differs"),
    ),
    Plant(
        "WRITES_INTO_INPUT", CONV, "tensorflow/tflite-micro#853", "the input is changed", kinds=("changes its input",)
    ),
    Plant("CRASHES", CONV, "tensorflow/tflite-micro#740", "aborts on some shapes", kinds=("crashes",)),
    # pools
    Plant("MAX_STARTS_AT_ZERO", MAX, "apache/mxnet#2753", "the padding counts as 0"),
    Plant(
        "AVERAGE_COUNTS_PADDING",
        AVERAGE,
        "ROCm/AMDMIGraphX#2991",
        "taps outside the image are counted",
        explained="padding",
    ),
    Plant("AVERAGE_TRUNCATES", AVERAGE, "xmos/ai_tools#83", "the mean is truncated"),
    Plant("AVERAGE_HALF_UP", AVERAGE, "ARM-software/CMSIS_5#1012", "negative halves are rounded up"),
    Plant("STRIDES_SWAPPED", MAX, "Maratyszcza/NNPACK#16", "the vertical stride is used for both directions"),
    # the other operators
    Plant(
        "ADD_WITHOUT_LEFT_SHIFT",
        "ADD",
        "tensorflow/tensorflow#59859",
        "the left shift that keeps bits for rounding is left out",
    ),
    Plant(
        "SECOND_INPUT_NOT_BROADCAST",
        "ADD",
        "pytorch/executorch#15100",
        "the second input is read over and over, not broadcast",
    ),
    Plant(
        "SECOND_INPUT_NOT_BROADCAST",
        "MUL",
        "tensorflow/tensorflow#38992",
        "the second input is read over and over, not broadcast",
    ),
    Plant("INPUT_OFFSET_SIGN", "MUL", "pytorch/executorch#15591", "the inputs' zero points are added, not subtracted"),
    Plant(
        "FIRST_ROW_ONLY",
        "SOFTMAX",
        "ARM-software/CMSIS_5#1441",
        "every row is written over the first",
        kinds=("never written",),
    ),
    Plant("SOFTMAX_SATURATES_LATE", "SOFTMAX", "microsoft/onnxruntime#29727", "256/256 becomes −128 instead of 127"),
    Plant("BETA_IGNORED", "SOFTMAX", "tensorflow/tflite-micro#3039", "beta is taken for 1", dtype="float32"),
    Plant(
        "MEAN_INPUT_OFFSET_IGNORED",
        "MEAN",
        "tensorflow/tensorflow#33588",
        "the input's zero point is ignored",
        explained="zero point of input 0 is taken for 0",
    ),
    Plant("MEAN_DIVIDES_FIRST", "MEAN", "", "divides before rescaling"),
    Plant("SINGLE_ROUNDING", "MEAN", "google-ai-edge/LiteRT#7441", "one rounding instead of two", "single rounding"),
    Plant(
        "POSITIVE_NOT_RESCALED", "LEAKY_RELU", "tensorflow/tensorflow#37279", "positive codes are copied, not rescaled"
    ),
    Plant("HARD_SWISH_IN_FLOAT", "HARD_SWISH", "tensorflow/tensorflow#61253", "computed in float32, not in 16 bits"),
    Plant(
        "QUANTIZE_TRUNCATES",
        "QUANTIZE",
        "zephyrproject-rtos/zephyr#88638",
        "truncated instead of rounded",
        dtype="float32",
    ),
    Plant(
        "PADS_WITH_ZERO",
        "PAD",
        "apache/tvm#4816",
        "padded with code 0, not with the zero point",
        explained="zero point of the output is taken for 0",
    ),
    Plant("FUSED_MULTIPLY_ADD", DENSE, "", "products are not rounded", "FMA", dtype="float32"),
    Plant("SUMS_IN_FOUR", DENSE, "tensorflow/tensorflow#36653", "four sums side by side", "order", dtype="float32"),
)

SEARCHED = (
    Plant("WINDOWS_OVERWRITE", "TRANSPOSE_CONV", "", "where windows overlap, the last one counts alone"),
    Plant("ADJOINT_IGNORED", "BATCH_MATMUL", "", "adj_y is ignored"),
    Plant("SECOND_INPUT_NOT_BROADCAST", "MINIMUM", "", "the second input is read over and over", dtype="float32"),
    Plant("SECOND_OF_EQUALS", "MAXIMUM", "", "of zeros with two signs the wrong one", dtype="float32"),
    Plant("TABLE_NOT_INTERPOLATED", "SOFTMAX", "", "the tables' entries are taken as they are", dtype="int16"),
    # state
    Plant("STATE_NOT_WRITTEN", "SVDF", "", "the state stays as it was"),
    Plant("STATE_OF_ITS_OWN", "SVDF", "", "a state of its own, which no reset reaches", kinds=("differs", "unsteady")),
    Plant("STATE_ZERO_POINT_IGNORED", "SVDF", "", "the state's zero point is taken for 0"),
    Plant("RANK_IGNORED", "SVDF", "", "units of one filter"),
    Plant("STATE_NOT_WRITTEN", LSTM, "", "the hidden state stays as it was"),
    Plant("STATE_NOT_WRITTEN", LSTM, "", "the hidden state stays as it was", dtype="float32"),
    Plant("STATE_OF_ITS_OWN", LSTM, "", "a state of its own, which no reset reaches", kinds=("differs", "unsteady")),
    Plant("GATES_SWAPPED", LSTM, "", "forget and cell gate are confused"),
    Plant("GATES_SWAPPED", LSTM, "", "forget and cell gate are confused", dtype="float32"),
    Plant("CELL_CLIP_IGNORED", LSTM, "", "the cell state is not clipped"),
    Plant("TIME_MAJOR_IGNORED", LSTM, "", "time and batch are confused"),
    Plant("RECURRENT_OFFSET_IGNORED", LSTM, "", "the hidden state's zero point is ignored"),
    Plant("RESET_IGNORED", "CIRCULAR_BUFFER", "", "a reset leaves the frames"),
    # sizes, packing, scratch memory
    Plant("DEPTH_UP_TO_512", DENSE, "", "inputs beyond 512 are lost"),
    Plant("CHANNELS_UP_TO_256", CONV, "", "channels are counted in 8 bits"),
    Plant(
        "IMAGE_MEAN_OVER_ROWS",
        "MEAN",
        "",
        "an image's rows and columns are not what is averaged",
        kinds=("differs", "writes outside"),
    ),
    Plant("GROUPS_NEED_BIAS", CONV, "", "groups without a bias fail", kinds=("fails",)),
    Plant("NIBBLES_SWAPPED", DENSE, "", "of two int4 weights in a byte the second comes first"),
    Plant("SCRATCH_TOO_SMALL", "MEAN", "", "one sum too few is asked for", kinds=("writes outside",)),
    Plant("SCRATCH_TAKEN_FOR_ZEROS", "MEAN", "", "sums begin with what is in memory", kinds=("unsteady", "differs")),
)
"""Bugs that no public report tells of: that they are found is tested, not how they are shrunk and explained."""

OPERATORS = tuple(dict.fromkeys((plant.op, plant.dtype) for plant in PLANTS))
"""What planted.c has kernels for, besides `OTHERS`, of which fewer cases are tried."""

OTHERS = tuple(dict.fromkeys((plant.op, plant.dtype) for plant in SEARCHED if (plant.op, plant.dtype) not in OPERATORS))


def built(folder: Path) -> Path:
    """planted.c as a shared library in `folder`."""
    library = folder / "planted.so"
    warnings = ("-std=c11", "-Wall", "-Wextra", "-Werror")
    command = [
        "cc",
        *warnings,
        f"-I{HEADER}",
        "-shared",
        "-fPIC",
        "-O1",
        str(HERE / "planted.c"),
        "-o",
        str(library),
        "-lm",
    ]
    subprocess.run(command, check=True)
    return library


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The bug is in the kernels of whoever starts them inside."""
    os.environ["PLANTED"] = bug
    try:
        yield
    finally:
        del os.environ["PLANTED"]


def tried(
    library: Path, bug: str, op: str, dtype: str, seed: int = 0, rounding: Rounding = "double", cases: int = 1000
) -> Result:
    """What the kit finds with a bug planted, in at most so many cases."""
    with planted(bug):
        (result,) = fuzz(Library(library), [op], [dtype], seed=seed, numerics=Numerics(rounding), cases=cases)
    return result


def searched(library: Path, plant: Plant, seed: int = 0) -> tuple[int, str] | None:
    """The first case that fails with a bug planted, within 1,000, and how: only the search, without what comes then."""
    before = 0
    with planted(plant.bug):
        for number in range(4):
            task = Task(Library(library), plant.op, plant.dtype, number, CHUNK, seed, Numerics(plant.claims))
            _, chunk = try_chunk(task)
            if chunk.first is not None:
                return before + chunk.first, chunk.failures[0][1].kind
            before += chunk.cases
    return None


def main(seeds: int) -> None:
    with TemporaryDirectory() as folder:
        library = built(Path(folder))
        print("| bug | operator | report | case that found it, median | seconds | explained |")
        print("| --- | --- | --- | ---: | ---: | --- |")
        for plant in (*PLANTS, *SEARCHED):
            start = time.perf_counter()
            results = [tried(library, plant.bug, plant.op, plant.dtype, seed, plant.claims) for seed in range(seeds)]
            seconds = (time.perf_counter() - start) / seeds
            firsts = [result.first if result.first is not None else float("inf") for result in results]
            found = results[0].finding
            said = "" if found is None else found.reason or found.outcome.message
            cells = (
                plant.cause,
                f"{plant.op} {plant.dtype}",
                plant.report,
                f"{median(firsts):g}",
                f"{seconds:.1f}",
                said,
            )
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
