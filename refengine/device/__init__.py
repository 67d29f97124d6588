"""Devices: the protocol of `firmware/protocol`, its host's end, and boards that run under QEMU."""

from .client import Device, DeviceRun, Progress
from .protocol import Info, TensorInfo
from .recording import (
    Recording,
    connect,
    device_plan,
    entry_names,
    numerics_of,
    output_steps,
    outputs_of,
    record,
    unequal_steps,
)
from .transport import DeviceError, Line, LostError, SerialLine, SocketLine, serial_ports
from .validation import Board, Sample, Validation, validate

__all__ = [
    "Board",
    "Device",
    "DeviceError",
    "DeviceRun",
    "Info",
    "Line",
    "LostError",
    "Progress",
    "Recording",
    "Sample",
    "SerialLine",
    "SocketLine",
    "TensorInfo",
    "Validation",
    "connect",
    "device_plan",
    "entry_names",
    "numerics_of",
    "output_steps",
    "outputs_of",
    "record",
    "serial_ports",
    "unequal_steps",
    "validate",
]
