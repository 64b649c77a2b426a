"""Export of trained models to ONNX files with their contract, checked against the network."""
