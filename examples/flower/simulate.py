"""Simulate two clients and a server on this machine: ``python simulate.py [FOLDER]``.

FOLDER/received is what the server has of one client, FOLDER/sent is what left either client.
"""

import os
import sys
import tempfile
from pathlib import Path

import net
import numpy as np

os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",  # read where Flower is imported: nobody is told that it runs
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of what it will do one day
}


def main(folder: Path) -> None:
    from apps import client_app, server_app
    from flwr.simulation import run_simulation

    x, y = net.others()
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "others.npz", x=x, y=y)
    with tempfile.TemporaryDirectory(prefix="lp-") as scratch:
        own_ray = {
            "address": "local",  # else it would be any that runs here
            "num_cpus": 1,
            "include_dashboard": False,
            "object_store_memory": 100 * 2**20,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": scratch,
        }
        run_simulation(
            server_app=server_app(folder / "received", folder / "others.npz"),
            client_app=client_app(folder / "sent", folder / "others.npz"),
            num_supernodes=net.CLIENTS,
            backend_config={
                "init_args": own_ray,
                "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            },
        )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "recorded").absolute())
