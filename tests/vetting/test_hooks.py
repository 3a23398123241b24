"""Hooks are read from the source, so that they are known before anything runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakpro_core.vetting.hooks import Declared, declared_hooks


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("@hookimpl\ndef a(): pass", [Declared("a", wrapper=False)]),
        ("@leakpro_core.hookimpl\ndef a(): pass", [Declared("a", wrapper=False)]),
        ("@hookimpl(tryfirst=True)\ndef a(): pass", [Declared("a", wrapper=False)]),
        ("@hookimpl(specname='b')\ndef a(): pass", [Declared("b", wrapper=False)]),
        ("@hookimpl(wrapper=True)\ndef a(): yield", [Declared("a", wrapper=True)]),
        ("@hookimpl(hookwrapper=True)\ndef a(): yield", [Declared("a", wrapper=True)]),
        ("@hookimpl(wrapper=False)\ndef a(): yield", [Declared("a", wrapper=False)]),
        ("@other\n@hookimpl\ndef a(): pass", [Declared("a", wrapper=False)]),
        ("def a(): pass", []),
        ("@other\ndef a(): pass", []),
        ("def a(:", []),
    ],
)
def test_declared_hooks(source, expected):
    assert declared_hooks(source.encode()) == tuple(expected)


@given(st.binary())
def test_bytes_never_raise(source):
    assert isinstance(declared_hooks(source), tuple)
