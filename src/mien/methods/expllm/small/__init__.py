"""The small vision-language model: trained from scratch, run on ONNX Runtime."""
