"""Membership inference attacks over signals, for LeakPro. ``plugin`` lists what it offers."""
