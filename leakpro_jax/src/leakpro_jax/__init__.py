"""JAX and Equinox targets and shadow models for LeakPro."""
