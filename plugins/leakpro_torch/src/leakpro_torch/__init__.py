"""PyTorch targets and shadow models for LeakPro."""
