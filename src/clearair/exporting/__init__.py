"""Turns trained modules into graphs for other runtimes. Needs PyTorch, onnx and onnxscript."""
