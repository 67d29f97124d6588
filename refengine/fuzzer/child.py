"""The process that holds a library of kernels: a script of its own that imports nothing of refengine, to start fast.

Writes READY to stdout once the library is loaded. Then it reads images of cases (see `image`) from stdin, calls
`refengine_kernel` on each, and writes its status and the whole image afterwards. A call that takes too long ends in
SIGALRM, which nobody catches.
"""

import ctypes
import os
import signal
import struct
import sys

ALIGNMENT = 64
READY = b"!"


def main(library: str, seconds: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what the library prints must not come between
    kernel = ctypes.CDLL(library).refengine_kernel
    kernel.argtypes, kernel.restype = [ctypes.c_void_p], ctypes.c_int
    replies.write(READY)
    replies.flush()
    while sizes := requests.read(16):
        size, count = struct.unpack("@QQ", sizes)
        pointers = struct.unpack(f"@{count}Q", requests.read(8 * count))
        memory = ctypes.create_string_buffer(size + ALIGNMENT)
        start = -ctypes.addressof(memory) % ALIGNMENT
        address = ctypes.addressof(memory) + start
        block = memoryview(memory).cast("B")[start : start + size]
        block[:] = requests.read(size)
        words = block[: size // 8 * 8].cast("Q")
        for place in pointers:
            words[place // 8] += address
        signal.setitimer(signal.ITIMER_REAL, seconds)
        status = kernel(address)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for place in pointers:
            words[place // 8] = (words[place // 8] - address) % 2**64
        replies.write(struct.pack("@i", status))
        replies.write(block)
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
