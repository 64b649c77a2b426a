"""A picture's way to a report, on NumPy, OpenCV and ONNX Runtime alone."""
