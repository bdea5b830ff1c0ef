"""Networks as ONNX graphs, checked; import of published ones."""
