"""Validity controls: what must hold for an audit's figures to mean anything. One module each."""
