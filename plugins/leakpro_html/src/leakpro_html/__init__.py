"""The HTML report of LeakPro: one self-contained file, a pure function of the risk report."""
