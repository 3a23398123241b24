"""Units of work on Ray for LeakPro."""
