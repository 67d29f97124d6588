"""The audio front end, TFLM's signal library."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from ..kernels._kiss_fft import Complex
from ..kernels.filter_bank_log import SEGMENTS
from ..model import Array
from ..plan import Step
from .call import Argument, Call, Maker, given, input_of, kept_by, size_of


def _with_memory(step: Step) -> tuple[Argument, ...]:
    """The input, what the step keeps, and the second output, if there is one."""
    return (input_of(step), *kept_by(step), *step.outputs[1:])


def _delay(step: Step) -> Call:
    shape = input_of(step).shape
    params = {"rows": prod(shape[:-1]), "row_size": shape[-1], "delay_length": step.params.delay_length}
    return Call("delay.c", "delay", "delay_params", params, _with_memory(step))


def _framer(step: Step) -> Call:
    p = step.params
    params = {
        "rows": prod(p.outer_shape),
        "n_frames": p.n_frames,
        "frame_size": p.frame_size,
        "frame_step": p.frame_step,
        "capacity": step.memory[0].shape[-1],
    }
    return Call("framer.c", "framer", "framer_params", params, _with_memory(step))


def _stacker(step: Step) -> Call:
    names = ("num_channels", "stacker_left_context", "stacker_step", "buffer_size")
    params = {name: getattr(step.params, name) for name in names}
    return Call("stacker.c", "stacker", "stacker_params", params, _with_memory(step))


def _overlap_add(step: Step) -> Call:
    p = step.params
    sizes = {"n_frames": p.n_frames, "frame_size": p.frame_size, "frame_step": p.frame_step}
    params = {"rows": prod(p.outer_shape)} | sizes
    return Call("overlap_add.c", f"overlap_add_{p.dtype}", "overlap_add_params", params, _with_memory(step))


def _window(step: Step) -> Call:
    input, weights = given(*step.inputs)
    params = {"size": size_of(step), "window_size": weights.shape[0], "shift": step.params.shift}
    return Call("window.c", "signal_window", "signal_window_params", params, (input, weights))


def _fft_auto_scale(step: Step) -> Call:
    arguments = (input_of(step), step.outputs[1])
    return Call("fft_auto_scale.c", "fft_auto_scale", "size_params", {"size": size_of(step)}, arguments)


def _fft(step: Step, kernel: str) -> Call:
    p, shape = step.params, input_of(step).shape

    def interleaved(z: Complex) -> Array:
        return np.stack(z, axis=-1).astype(p.dtype)

    params = {
        "rows": prod(shape[:-1]),
        "input_size": shape[-1],
        "fft_length": p.fft_length,
        "inverse": int(p.inverse),
        "stages": len(p.factors),
        "factors": np.array(p.factors, np.int32),
        "twiddles": interleaved(p.twiddles),
        "super_twiddles": interleaved(p.super_twiddles),
    }
    return Call("rfft.c", f"{kernel}_{p.dtype}", "fft_params", params, (input_of(step),))


def _energy(step: Step) -> Call:
    params = {"start_index": step.params.start_index, "end_index": step.params.end_index}
    return Call("energy.c", "energy", "energy_params", params, (input_of(step),))


def _filter_bank(step: Step) -> Call:
    params = {"num_channels": step.params.num_channels}
    return Call("filter_bank.c", "filter_bank", "filter_bank_params", params, given(*step.inputs))


def _filter_bank_square_root(step: Step) -> Call:
    name = "filter_bank_square_root"
    return Call(f"{name}.c", name, "size_params", {"size": size_of(step)}, given(*step.inputs))


def _spectral_subtraction(step: Step) -> Call:
    names = (
        "num_channels",
        "smoothing",
        "one_minus_smoothing",
        "alternate_smoothing",
        "alternate_one_minus_smoothing",
        "smoothing_bits",
        "spectral_subtraction_bits",
        "min_signal_remaining",
        "clamping",
    )
    params = {name: _signed(int(getattr(step.params, name))) for name in names}
    name = "filter_bank_spectral_subtraction"
    return Call(f"{name}.c", name, "spectral_subtraction_params", params, _with_memory(step))


def _signed(word: int) -> int:
    """32 bits as C's struct has them."""
    return (word + 2**31) % 2**32 - 2**31


def _pcan(step: Step) -> Call:
    params = {"size": size_of(step), "snr_shift": step.params.snr_shift}
    return Call("pcan.c", "pcan", "pcan_params", params, given(*step.inputs))


def _filter_bank_log(step: Step) -> Call:
    p = step.params
    params = {
        "size": size_of(step),
        "input_correction_bits": p.input_correction_bits,
        "output_scale": p.output_scale,
        "segments": np.array(SEGMENTS, np.int32),
    }
    return Call("filter_bank_log.c", "filter_bank_log", "filter_bank_log_params", params, (input_of(step),))


MAKERS: dict[str, Maker] = {
    "delay": _delay,
    "framer": _framer,
    "stacker": _stacker,
    "overlap_add": _overlap_add,
    "signal_window": _window,
    "fft_auto_scale": _fft_auto_scale,
    "rfft": partial(_fft, kernel="rfft"),
    "irfft": partial(_fft, kernel="irfft"),
    "energy": _energy,
    "filter_bank": _filter_bank,
    "filter_bank_square_root": _filter_bank_square_root,
    "filter_bank_spectral_subtraction": _spectral_subtraction,
    "pcan": _pcan,
    "filter_bank_log": _filter_bank_log,
}
"""By C kernel: what makes a call of it."""
