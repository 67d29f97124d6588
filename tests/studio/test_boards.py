"""refengine/studio/boards.py and board.py: a drawing on a board that is a process of this machine."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from refengine.device import DeviceError
from refengine.device.qemu import FAULTS, missing_tools
from refengine.errors import InputError
from refengine.plan import make_plan
from refengine.studio import boards as module
from refengine.studio.boards import Boards
from refengine.studio.studio import Studio
from tests.studio.conftest import ROOT, Client, served

ASKED = {"network": "dense_int8", "sample": 70, "port": "qemu:host"}

needs_compiler = pytest.mark.skipif(bool(missing_tools("host")), reason="the board `host` needs make and a C compiler")


def test_the_boards_are_those_that_there_are_and_say_what_they_need(client: Client, monkeypatch: Any) -> None:
    told = client.get("call/ports").json()
    ports = {each["port"]: each["missing"] for each in told["ports"]}
    assert {"qemu:host", "qemu:mps2-an500"} <= ports.keys() and "qemu-system-arm" in told["install"]
    cores = {each["port"]: each["core"] for each in told["ports"]}
    assert (cores["qemu:mps2-an500"], cores["qemu:mps3-an547"]) == ("cortex-m7", "cortex-m55")
    assert (cores["qemu:riscv-virt-imc"], cores["qemu:host"]) == ("rv32imc", "")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    lacking = {each["port"]: each["missing"] for each in client.get("call/ports").json()["ports"]}
    assert lacking["qemu:mps2-an500"] == ["make", "arm-none-eabi-gcc", "qemu-system-arm"]
    response = client.get("call/board", {**ASKED, "port": "qemu:mps2-an385"})
    assert response.status == 400 and "mps2-an385 needs make and arm-none-eabi-gcc" in response.json()["error"]


@pytest.mark.slow
@needs_compiler
def test_a_board_answers_as_refengine_does_and_a_broken_one_is_found_out() -> None:
    state = Studio()
    with served(state) as client:
        told = client.get("call/board", ASKED).json()
        assert told["board"] == "host" and all(step["equal"] for step in told["steps"]) and told["verdict"] is None
        assert told["answers"]["codes"]["board"] == told["answers"]["codes"]["refengine"]
        assert told["answers"]["classes"]["board"]["label"] == client.get("call/answer", ASKED).json()["label"]
        assert told["times"]["svg"].count("ms, ") == len(told["steps"])
        broken = client.get("call/board", {**ASKED, "fault": "output_offset"}).json()
        assert not all(step["equal"] for step in broken["steps"])
        assert "the fault enters at" in broken["verdict"]["summary"] and 'class="culprit"' in broken["verdict"]["svg"]
    state.boards.close()
    with (
        pytest.raises(DeviceError, match="has been ended"),
        state.boards.device("qemu:host", make_plan("dense_int8"), ""),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"port": "qemu:nothing"}, "there is no board at 'qemu:nothing'"),
        ({"port": "spy:///etc/passwd"}, "there is no board at"),
        ({"port": "socket://192.0.2.1:80"}, "there is no board at"),
        ({"fault": "worse"}, "there is no fault 'worse'"),
        ({"network": "nobody"}, "no network 'nobody'"),
    ],
)
def test_no_port_is_opened_that_is_not_this_machines(client: Client, more: dict[str, Any], why: str) -> None:
    response = client.get("call/board", {**ASKED, **more})
    assert response.status == 400 and why in response.json()["error"]


def test_the_faults_that_may_be_chosen_are_those_of_the_firmware() -> None:
    header = (ROOT / "firmware" / "faults" / "faults.h").read_text()
    told = re.findall(r"^ \*   ([A-Z_]+)  ", header, re.M)  # STALE=k needs the number of a step
    assert [fault.upper() for fault in FAULTS] == told


class Fake:
    """A device that only knows whether it was closed."""

    def __init__(self) -> None:
        self.line, self.is_closed = self, False

    def close(self) -> None:
        self.is_closed = True


def test_a_connection_is_kept_until_something_goes_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Fake] = []

    def connect(*arguments: Any, **options: Any) -> Any:
        made.append(Fake())
        return made[-1]

    monkeypatch.setattr(module, "connect", connect)
    held, plan = Boards(["socket://board:1"]), make_plan("dense_int8")
    for _ in range(2):
        with held.device("socket://board:1", plan, "dense_int8"):
            pass
    assert len(made) == 1
    with pytest.raises(DeviceError), held.device("socket://board:1", plan, "dense_int8"):
        raise DeviceError("lost")
    assert made[0].is_closed
    with held.device("socket://board:1", plan, "dense_int8"):
        pass
    with held.device("socket://board:1", plan, "another"):  # one port has one firmware
        assert [each.is_closed for each in made] == [True, True, False]
    held.close()
    assert made[-1].is_closed
    with pytest.raises(InputError, match="there is no board at"), held.device("/dev/nothing", plan, ""):
        pass
