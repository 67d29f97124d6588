"""The way to a device: a port that comes a little later is waited for, one that does not is told."""

from __future__ import annotations

import socket
import threading
from time import monotonic, sleep

import pytest

from refengine.bundled import bundled_models
from refengine.device import DeviceError, LostError, connect, recording
from refengine.plan import make_plan
from tests.device.liar import Lie, listening

PLAN = make_plan(bundled_models()["dense_int8"])

pytestmark = pytest.mark.usefixtures("pyserial")


@pytest.fixture
def pyserial() -> None:
    pytest.importorskip("serial")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_board_that_is_just_starting_is_waited_for() -> None:
    port = free_port()

    def start() -> None:
        sleep(0.3)
        listening(PLAN, Lie(), port)

    threading.Thread(target=start, daemon=True).start()
    with connect(f"socket://127.0.0.1:{port}", PLAN) as device:
        assert len(device.steps) == len(PLAN.steps)


def test_a_port_that_does_not_come_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOMENT", 0.2)
    began = monotonic()
    with pytest.raises(LostError, match="is something listening there"):
        connect(f"socket://127.0.0.1:{free_port()}", PLAN)
    assert 0.2 < monotonic() - began < recording.MOMENT + 5


def test_nobody_waits_for_what_can_never_be_a_port() -> None:
    began = monotonic()
    with pytest.raises(DeviceError, match="nonsense") as told:
        connect("nonsense://x", PLAN)
    assert not isinstance(told.value, LostError) and monotonic() - began < recording.MOMENT
