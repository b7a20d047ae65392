"""A run enters; an ONNX file, weights for timm, a model card and a registered model leave."""
