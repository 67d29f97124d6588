"""Exports under other names link beside each other; the folders of every tool build, with stubs for what is theirs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from refengine import InputError, Numerics, make_plan
from refengine.cexport import LAYOUTS, export
from refengine.cexport.layouts import Layout
from refengine.commands import main
from tests.cexport.test_export import FLAGS, SANITIZERS, named, needs_cc, two_inputs
from tests.test_subgraphs import program

pytestmark = pytest.mark.slow

needs_cmake = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("cc") is None,
    reason="NOT TESTED: needs cmake and cc (`make tools` installs them)",
)


@needs_cc
def test_two_models_link_together(tmp_path: Path) -> None:
    """In two dialects, both headers in one file, every kernel there twice."""
    export(make_plan(two_inputs()), tmp_path / "first", prefix="first")
    export(make_plan(two_inputs(), numerics=Numerics(rounding="single")), tmp_path / "second", prefix="second")
    (tmp_path / "main.c").write_text("""
#include "first/first.h"
#include "second/second.h"
int main(void) {
  second_reset();
  return first_selftest() + second_selftest() + (FIRST_STEPS != SECOND_STEPS) + (&first_arena[0] == &second_arena[0]);
}
""")
    sources = [str(path) for path in tmp_path.rglob("*.c")]
    subprocess.run(["cc", *FLAGS, *SANITIZERS, *sources, "-o", str(tmp_path / "a.out"), "-lm"], check=True)
    assert subprocess.run([str(tmp_path / "a.out")], check=False).returncode == 0
    assert not any("model_" in path.read_text() for path in (tmp_path / "first").iterdir())


@pytest.mark.parametrize("prefix", ["", "3d", "my-model", "é", "a b"])
def test_a_prefix_begins_a_name(prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="begins no name in C"):
        export(make_plan(two_inputs()), tmp_path, prefix=prefix)
    assert main(["export", "dense_int8", "-o", str(tmp_path), f"--prefix={prefix}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("prefix", ["step", "Add", "numerics", "stdint", "math"])
def test_a_prefix_takes_no_other_file_s_place(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"the prefix '{prefix}' is what a file"):
        export(make_plan(two_inputs()), tmp_path, prefix=prefix)
    assert not [*tmp_path.iterdir()]


def test_names_are_cut_or_left_out(tmp_path: Path) -> None:
    name = "StatefulPartitionedCall/" * 9
    model = named(name)
    export(make_plan(model), tmp_path / "cut", name="wake")
    assert f'"{name[:61]}..."' in (tmp_path / "cut" / "model.c").read_text()
    export(make_plan(model), tmp_path / "none", name="wake", names=False)
    assert name[:9] not in (tmp_path / "none" / "model.c").read_text()
    assert '#define MODEL_NAME ""' in (tmp_path / "none" / "model.h").read_text()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_name_that_is_left_out_is_in_no_file(layout: Layout, tmp_path: Path) -> None:
    export(make_plan(two_inputs()), tmp_path, name="secret", prefix="wake", layout=layout, names=False)
    assert not any("secret" in path.read_text() for path in tmp_path.rglob("*.*"))


PROGRAM = """
cmake_minimum_required(VERSION 3.13)
project(program C)
{stubs}
add_subdirectory(model)
file(WRITE ${{CMAKE_BINARY_DIR}}/main.c "#include \\"net.h\\"\nint main(void) {{ return net_selftest(); }}\n")
add_executable(program ${{CMAKE_BINARY_DIR}}/main.c)
target_link_libraries(program {library} m)
"""
"""A project of CMake's that uses the folder `model`."""

STUBS = {
    "cmake": ("", "net"),
    "esp-idf": (
        """
function(idf_component_register)
  cmake_parse_arguments(GIVEN "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
  add_library(component STATIC ${GIVEN_SRCS})
  target_include_directories(component PUBLIC ${GIVEN_INCLUDE_DIRS})
  set(COMPONENT_LIB component PARENT_SCOPE)
endfunction()
""",
        "component",
    ),
    "zephyr": (
        """
macro(zephyr_library_named name)
  add_library(${name} STATIC)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
endmacro()
macro(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
  target_include_directories(${ZEPHYR_CURRENT_LIBRARY} PUBLIC ${ARGN})
endmacro()
""",
        "net",
    ),
}
"""By layout: what stands in for the tool's functions, and what they call the library."""


@needs_cmake
@pytest.mark.parametrize("layout", STUBS)
def test_cmake_builds_it(layout: str, tmp_path: Path) -> None:
    """A program of subgraphs and variables."""
    export(make_plan(program(12)), tmp_path / "model", prefix="net", layout=layout)  # type: ignore[arg-type]
    stubs, library = STUBS[layout]
    (tmp_path / "CMakeLists.txt").write_text(PROGRAM.format(stubs=stubs, library=library))
    build = str(tmp_path / "build")
    for command in (["cmake", "-S", str(tmp_path), "-B", build], ["cmake", "--build", build]):
        subprocess.run(command, check=True, capture_output=True)
    assert subprocess.run([tmp_path / "build" / "program"], check=False).returncode == 0


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_a_sketch_of_arduino_compiles(tmp_path: Path) -> None:
    """As the IDE does it: the library's C in C, the sketch in C++ with Arduino.h before it."""
    export(make_plan(program(12)), tmp_path, prefix="net", layout="arduino", name="a net")
    assert "\nincludes=net.h\n" in (tmp_path / "library.properties").read_text()
    (tmp_path / "main.cpp").write_text("""
#include <cstdio>
#include <cstring>
static const char *printed;
static struct { void begin(long) {} void println(const char *text) { printed = text; } } Serial;
#include "examples/selftest/selftest.ino"
int main() { setup(); loop(); return std::strcmp(printed, "passed"); }
""")
    for source in (tmp_path / "src").glob("*.c"):
        subprocess.run(["cc", "-std=gnu11", "-c", source, "-o", source.with_suffix(".o")], check=True)
    objects = map(str, (tmp_path / "src").glob("*.o"))
    sketch = str(tmp_path / "a.out")
    command = ["c++", f"-I{tmp_path / 'src'}", str(tmp_path / "main.cpp"), *objects, "-o", sketch, "-lm"]
    subprocess.run(command, check=True)
    assert subprocess.run([sketch], check=False).returncode == 0


def test_every_layout_is_tried() -> None:
    assert {*STUBS, "plain", "arduino"} == set(LAYOUTS)
