"""Devices: the protocol of `firmware/protocol`, its host's end, and boards that run under QEMU."""

from .client import Device, DeviceRun, Progress
from .protocol import Info, TensorInfo
from .recording import Recording, connect, device_plan, numerics_of, output_steps, outputs_of, record, unequal_steps
from .transport import DeviceError, Line, SerialLine, SocketLine, serial_ports

__all__ = [
    "Device",
    "DeviceError",
    "DeviceRun",
    "Info",
    "Line",
    "Progress",
    "Recording",
    "SerialLine",
    "SocketLine",
    "TensorInfo",
    "connect",
    "device_plan",
    "numerics_of",
    "output_steps",
    "outputs_of",
    "record",
    "serial_ports",
    "unequal_steps",
]
