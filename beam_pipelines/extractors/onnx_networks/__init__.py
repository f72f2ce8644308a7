"""Networks by configuration: any ONNX file as a modality of `extract` (`extract.networks`)."""
