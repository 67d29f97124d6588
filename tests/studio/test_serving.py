"""refengine/studio/serving.py, and the command: an address, a warning, a code for tablets, and a clean end."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import webbrowser
from contextlib import closing
from urllib.request import urlopen

import numpy as np
import pytest

from refengine.commands import main
from refengine.commands import studio as command
from refengine.errors import InputError
from refengine.studio import serving
from refengine.studio.serving import Address, qr_code
from tests.studio.conftest import ROOT, studio


def test_the_address_is_this_machines_alone_and_nobody_guesses_it() -> None:
    with closing(Address().socket) as one, closing(Address().socket) as two:
        assert one.getsockname()[0] == two.getsockname()[0] == "127.0.0.1"
    addresses = [Address() for _ in range(3)]
    assert len({address.token for address in addresses}) == 3 and all(len(a.token) >= 24 for a in addresses)
    assert all(a.is_local and a.url == f"http://127.0.0.1:{a.port}/{a.token}/" for a in addresses)
    for address in addresses:
        address.socket.close()


def test_the_local_network_is_let_in_only_if_asked_for() -> None:
    address = Address("0.0.0.0")
    with closing(address.socket):
        assert not address.is_local and address.shown in address.names and "0.0.0.0" not in address.names
        assert "0.0.0.0" not in address.url


def test_an_address_that_cannot_be_had_is_told_of() -> None:
    taken = Address()
    with closing(taken.socket), pytest.raises(InputError, match=r"cannot be served .* choose another with --port"):
        Address(port=taken.port)
    with pytest.raises(InputError, match="no address of this machine"):
        Address("no.such.host.invalid")
    with pytest.raises(InputError, match="cannot be served"):
        Address("192.0.2.1")


def test_the_code_is_black_on_white_and_holds_the_address() -> None:
    """Drawn again from its text, as a camera would see it, it is what `segno` draws of the address."""
    import segno

    url = "http://192.168.1.20:8000/0123456789abcdefghijklmn/"
    lines = list(qr_code(url))
    light = np.array([[[c in "▀█", c in "▄█"] for c in line] for line in lines]).transpose(0, 2, 1)
    rows = light.reshape(-1, light.shape[2])
    dark = ~rows[2:-2, 2:-2]
    expected = np.array([list(row) for row in segno.make(url, error="l", micro=False).matrix], bool)
    assert np.array_equal(dark[: len(expected)], expected)
    assert rows[:2].all() and rows[:, :2].all() and rows[:, -2:].all(), "a quiet zone around it"


def test_ctrl_c_ends_it_in_silence_and_for_good() -> None:
    with studio("dense_int8") as (url, process):
        with urlopen(url) as page:
            assert page.status == 200
        with socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))):  # a tab that stays open
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


def test_another_signal_ends_it_as_it_ends_other_commands() -> None:
    with studio() as (_, process):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (143, "refengine: interrupted\n")


def test_an_open_one_warns_and_shows_a_code() -> None:
    done = [sys.executable, "-m", "refengine", "studio", "--no-browser", "--host", "0.0.0.0"]
    process = subprocess.Popen(done, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    said = []
    try:
        while "Ctrl-C ends it" not in (line := process.stdout.readline()):
            assert line, process.communicate()
            said.append(line)
        ended = False
        for _ in range(20):  # behind a shell's &, which ignores Ctrl-C, the first may come too early
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=1)
                ended = True
                break
    finally:
        process.kill()
        process.wait()
    assert ended
    assert said[0].startswith("WARNING: whoever is in the same network")
    assert sum("█" in line for line in said) > 10 and "http://" in said[-1]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--port", "65536"], "no port"),
        (["--port", "x"], "no port"),
        (["nobody.tflite"], "no such file"),
        (["--labels", "nowhere.txt"], "nowhere.txt"),
        (["--host", "no.such.host.invalid"], "no address of this machine"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["studio", "--no-browser", *arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    err = capsys.readouterr().err
    assert status == 2 and why in err and err.count("\n") == 1


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "NEEDED", ("refengine_nothing",))
    assert main(["studio"]) == 2
    assert "the studio needs refengine_nothing: pip install 'refengine[studio]'" in capsys.readouterr().err


def test_no_browser_is_opened_where_there_is_no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool([opened.append(url)]))  # type: ignore[func-returns-value]
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not serving.open_browser("http://here/") and not opened
    monkeypatch.setenv("DISPLAY", ":0")
    assert serving.open_browser("http://here/") and opened == ["http://here/"]
