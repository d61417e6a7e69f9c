"""Files: checkpoints, models, images, figures, and PyTorch's checkpoints."""
