"""Hooks of this plugin; imports leakpro_core only."""
