"""The small generator: flow matching over faces of 48 pixels, run on ONNX Runtime."""
