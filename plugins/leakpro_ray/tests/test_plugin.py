"""What the plugin offers, and what a plan may say to it, without importing Ray."""

import subprocess
import sys
from pathlib import Path

import pytest
from leakpro_ray.options import RayOptions, place, slots
from leakpro_ray.plugin import leakpro_executors

from leakpro_core.errors import BadValue
from leakpro_core.options import build
from leakpro_core.references import resolve
from leakpro_core.testing.conformance import check_light_import


def test_offers_import_nothing_heavy():
    check_light_import("leakpro_ray.plugin")


@pytest.mark.parametrize("module", ["options", "executor", "plugin"])
def test_ray_is_imported_in_processes_of_its_own_only(module):
    code = f"import sys, leakpro_ray.{module}; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_reference_leads_somewhere():
    [offer] = leakpro_executors()
    assert (offer.name, callable(resolve(offer.ref))) == ("ray", True)
    assert (resolve(offer.options), resolve(offer.slots)) == (RayOptions, slots)


def test_units_at_once_are_the_workers():
    assert slots(RayOptions(workers=3)) == 3


def test_a_unit_takes_as_many_cpus_as_threads_unless_it_is_said():
    assert RayOptions(threads=4).needs == {"CPU": 4, "GPU": 0}
    assert RayOptions(threads=4, cpus=0.5, gpus=0.25).needs == {"CPU": 0.5, "GPU": 0.25}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.0.0.7:6379", ("10.0.0.7", 6379)),
        ("ray://head.example.org:10001", ("head.example.org", 10001)),
        ("[::1]:6379", ("::1", 6379)),
        ("6379", ("", 0)),
        ("head:", ("", 0)),
        ("head:70000", ("", 0)),
    ],
)
def test_host_and_port_of_an_address(address, found):
    assert place(address) == found


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("address", "head", r'"auto", "host:port" or "ray://host:port"'),
        ("gpus", 1.5, "a part of one, or a whole number"),
        ("cpus", -1.0, "a part of one, or a whole number"),
        ("workers", 0, "1"),
        ("timeout", 0.0, "0"),
    ],
)
def test_a_bad_value_is_named(key, value, expected):
    with pytest.raises(BadValue, match=rf"\[execution\] {key}.*{expected}"):
        build(RayOptions, {key: value}, at="[execution]", folder=Path())
