"""What a plan can say to this plugin. Imports no Ray, so a plan is checked without it."""

from attrs import field, frozen, validators


def _quantity(instance: object, attribute: object, value: float | None) -> None:
    if value is not None and (value < 0 or (value > 1 and value != int(value))):
        raise ValueError("a part of one, or a whole number")


def _address(instance: object, attribute: object, value: str | None) -> None:
    if value is not None and value != "auto" and not place(value)[0]:
        raise ValueError('"auto", "host:port" or "ray://host:port"')


@frozen(kw_only=True)
class RayOptions:
    """``[execution]`` with ``executor = "ray"``.

    address: of a running cluster, "auto", "host:port" or "ray://host:port"; unless given, a Ray
    of this audit's own is started on this machine, and stopped afterwards.
    workers: units at once. cpus, gpus: what each takes; as many CPUs as threads unless given.
    threads: threads that numerical libraries may use in each worker.
    retries: how often a unit is tried again whose worker died.
    timeout: seconds to wait for the cluster to answer, and for a node with enough CPUs and GPUs.
    """

    address: str | None = field(default=None, validator=_address)
    workers: int = field(default=2, validator=validators.ge(1))
    cpus: float | None = field(default=None, validator=_quantity)
    gpus: float = field(default=0.0, validator=_quantity)
    threads: int = field(default=1, validator=validators.ge(1))
    retries: int = field(default=2, validator=validators.ge(0))
    timeout: float = field(default=30.0, validator=validators.gt(0))

    @property
    def needs(self) -> dict[str, float]:
        """What a unit takes, in Ray's words."""
        return {"CPU": self.threads if self.cpus is None else self.cpus, "GPU": self.gpus}


def slots(options: RayOptions) -> int:
    """Return how many units run at once."""
    return options.workers


def place(address: str) -> tuple[str, int]:
    """Return host and port of an address, an empty host where it has no such form."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        return "", 0
    return host.removeprefix("[").removesuffix("]"), int(port)
