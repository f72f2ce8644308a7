"""What runs the built-in networks: ONNX Runtime, or Keras on its backend."""

from __future__ import annotations

from typing import Literal

Engine = Literal["onnxruntime", "tensorflow"]
"""`tensorflow` stands for Keras, whose backend it is unless `KERAS_BACKEND` names another."""
