"""Headers for firmware that interprets: a `.tflite` file, or pictures, as constant arrays in C and C++."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

ALIGNED = "#ifdef __cplusplus\nalignas(16)\n#else\n_Alignas(16)\n#endif\n"


def array_header(data: bytes, file_name: str) -> tuple[str, str]:
    """(header's name, its text): `data` as TFLM takes a model, under the names that `xxd -i file_name` gives.

    TFLM reads the model where it lies, so that the array must be aligned, which `xxd`'s is not.
    """
    name = identifier(Path(file_name).name)
    array = f"{ALIGNED}static const unsigned char {name}[] = {{\n{_listed(data)}\n}};"
    length = f"static const unsigned int {name}_len = {len(data)};"
    return f"{name}.h", _guarded(
        name, f"/* {len(data)} bytes, as `xxd -i` would name them, but aligned */\n{array}\n{length}\n"
    )


def image_header(
    pictures: Sequence[Pixels], name: str, bits: int, labels: Sequence[int] | None = None
) -> tuple[str, str]:
    """(header's name, its text): pictures (uint8, H×W, all of one size) at one or eight bits a pixel, and their labels.

    One bit: rows one after another without gaps, the leftmost pixel in a byte's highest bit, 1 where the pixel is above
    127. Eight bits: the pixels.
    """
    name, count, (height, width) = identifier(name), len(pictures), pictures[0].shape
    flat = np.stack(pictures).reshape(count, -1)
    packed = np.packbits(flat > 127, axis=1) if bits == 1 else flat
    rows = ",\n".join(f"  {{\n{_listed(row.tobytes())}}}" for row in packed)
    how = (
        "one bit a pixel, the leftmost in a byte's highest bit, 1 is ink"
        if bits == 1
        else "one byte a pixel, 255 is ink"
    )
    upper = name.upper()
    text = (
        f"/* {count} pictures of {height} rows by {width}, {how} */\n"
        f"#define {upper}_COUNT {count}\n#define {upper}_HEIGHT {height}\n#define {upper}_WIDTH {width}\n\n"
        f"static const unsigned char {name}[{count}][{packed.shape[1]}] = {{\n{rows}\n}};\n"
    )
    if labels is not None:
        text += f"\nstatic const unsigned char {name}_labels[{count}] = {{{', '.join(map(str, labels))}}};\n"
    return f"{name}.h", _guarded(name, text)


def _listed(data: bytes) -> str:
    """Sixteen bytes a line."""
    rows = (data[i : i + 16] for i in range(0, len(data), 16))
    return ",\n".join("  " + ", ".join(f"0x{byte:02x}" for byte in row) for row in rows)


def identifier(text: str) -> str:
    """`text` as a C identifier, as `xxd -i` makes one: other characters become underscores, no digit leads."""
    name = re.sub(r"[^0-9A-Za-z]", "_", text) or "_"
    return f"__{name}" if name[0].isdigit() else name


def _guarded(name: str, text: str) -> str:
    guard = f"{name.upper()}_H"
    return f"#ifndef {guard}\n#define {guard}\n\n{text}\n#endif\n"
