"""A trained model to an ONNX file that carries its contract, kept only if both answer alike."""
