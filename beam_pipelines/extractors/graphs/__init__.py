"""Built-in networks as graphs of ONNX: written once from Keras, and filled with weights where they run."""
