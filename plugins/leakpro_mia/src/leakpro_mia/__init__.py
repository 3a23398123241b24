"""Membership inference attacks over signals for LeakPro."""
