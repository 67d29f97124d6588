"""An export's files under a prefix of the user's choice, and laid out as the tool that builds them wants them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from ..errors import InputError

Layout = Literal["plain", "cmake", "arduino", "esp-idf", "zephyr"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

Files = Mapping[str, str]
"""By path below the folder, what is in them."""

MODEL = "model"
"""The prefix of those who do not choose one."""

_NAMES = re.compile(r'"(?:[^"\\]|\\.)*"|\b(?:model_|MODEL_)')
"""Strings, which stay as they are, and beginnings of names."""


def check_prefix(prefix: str) -> None:
    """Raise `InputError` for what does not begin a C identifier."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", prefix, re.ASCII):
        raise InputError(f"the prefix '{prefix}' begins no name in C; take letters, digits and _, a letter first")


def prefixed(files: Files, prefix: str) -> dict[str, str]:
    """The same with ``model_``, ``MODEL_`` and the kernels called after `prefix`, so that two link together.

    Raises `InputError` for a prefix by which a file would take another one's place, or a header of C's library.
    """
    if prefix == MODEL:
        return dict(files)
    ours = {Path(file).stem for file in files} | {*re.findall(r"#include <(\w+)\.h>", "".join(files.values()))}
    if prefix.lower() in ours:
        raise InputError(f"the prefix '{prefix}' is what a file that the export needs is called; choose another one")
    headers = "".join(files[file] for file in ("kernels.h", "control.h") if file in files)
    kernels = re.findall(r"^(?:void|int) (\w+)\(", headers, re.MULTILINE)
    named = {
        file: _renamed(text, prefix) if file in ("model.h", "model.c", "step.h", "selftest.c") else text
        for file, text in files.items()
    }
    renamed = "\n".join(f"#define {kernel} {prefix}_{kernel}" for kernel in kernels)
    told = f"/* The kernels' names, so that other models' may be linked with them. */\n{renamed}\n\n#endif\n"
    named["numerics.h"] = named["numerics.h"].removesuffix("#endif\n") + told
    return {re.sub(r"^model\.", f"{prefix}.", file): text for file, text in named.items()}


def _renamed(text: str, prefix: str) -> str:
    def name(found: re.Match[str]) -> str:
        if found[0] == '"model.h"':
            return f'"{prefix}.h"'
        return {"model_": f"{prefix}_", "MODEL_": f"{prefix.upper()}_"}.get(found[0], found[0])

    return _NAMES.sub(name, text)


def laid_out(files: Files, layout: Layout, prefix: str, name: str) -> dict[str, str]:
    """Where the files go, and what else the tool needs; `name` is what people are told the model is called."""
    sources = sorted(file for file in files if file.endswith(".c"))
    listed = "\n".join(f"  {file}" for file in sources)
    match layout:
        case "plain":
            return dict(files)
        case "cmake":
            return {**files, "CMakeLists.txt": _CMAKE.format(prefix=prefix, sources=listed)}
        case "esp-idf":
            return {**files, "CMakeLists.txt": _ESP_IDF.format(sources=listed)}
        case "zephyr":
            module = f"name: {prefix}\nbuild:\n  cmake: .\n"
            return {
                **files,
                "CMakeLists.txt": _ZEPHYR.format(prefix=prefix, sources=listed),
                "zephyr/module.yml": module,
            }
        case "arduino":
            return {
                **{f"src/{file}": text for file, text in files.items()},
                "library.properties": _ARDUINO.format(prefix=prefix, name=name),
                "examples/selftest/selftest.ino": _SKETCH.format(prefix=prefix),
            }


_CMAKE = """\
# add_subdirectory() this folder, and target_link_libraries(yours {prefix}).
cmake_minimum_required(VERSION 3.13)
project({prefix} C)

add_library({prefix} STATIC
{sources}
)
set_target_properties({prefix} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
target_include_directories({prefix} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_link_libraries({prefix} PUBLIC m)
"""

_ESP_IDF = """\
# A component: put this folder into your project's components/.
idf_component_register(
  SRCS
{sources}
  INCLUDE_DIRS .
)
# GCC's gnu modes may fuse a product and a sum of floats, which changes their last bit.
target_compile_options(${{COMPONENT_LIB}} PRIVATE -std=c11)
"""

_ZEPHYR = """\
# A module: name this folder in ZEPHYR_EXTRA_MODULES, or in your west.yml.
zephyr_library_named({prefix})
zephyr_library_sources(
{sources}
)
# GCC's gnu modes may fuse a product and a sum of floats, which changes their last bit.
zephyr_library_compile_options(-std=c11)
zephyr_include_directories(.)
"""

_ARDUINO = """\
name={prefix}
version=1.0.0
author=refengine
maintainer=refengine
sentence={name} as plain C, exported by refengine.
paragraph=It checks itself: see the example selftest.
category=Data Processing
url=-
architectures=*
includes={prefix}.h
"""

_SKETCH = """\
// Runs the golden input, and says whether every step of the model is right.
#include <{prefix}.h>

void setup() {{
  Serial.begin(115200);
  const int wrong = {prefix}_selftest();
  Serial.println(wrong ? "WRONG: see {prefix}_steps" : "passed");
}}

void loop() {{}}
"""
