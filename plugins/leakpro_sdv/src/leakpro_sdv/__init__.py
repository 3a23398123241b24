"""Attacks on synthetic tables, and SDV generators."""
