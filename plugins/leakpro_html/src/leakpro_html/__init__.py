"""The HTML report of LeakPro."""
