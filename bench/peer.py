"""The attack of the framework ``breaching``, where it is installed: a peer to measure against.

It needs ``breaching`` 0.1.2 and ``torchvision``, in an environment of its own beside LeakPro.
"""

import contextlib
import importlib.util
import io

import numpy as np
import torch
from torch import nn

from leakpro_core.games.gradient_inversion import InversionChallenge


def installed() -> bool:
    """Whether there is a peer."""
    return importlib.util.find_spec("breaching") is not None


def peer(given: InversionChallenge, iterations: int, variation: float, seed: int) -> np.ndarray:
    """Return what its preset of Geiping et al. 2020 finds, float32 ``[b, *shape]``.

    variation: weight of the total variation. Labels are known, evaluation mode, one restart.
    """
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import breaching
        from omegaconf import OmegaConf

        how = breaching.get_attack_config("invertinggradients")
    how.optim.max_iterations = iterations
    how.regularization.total_variation.scale = variation
    module = given.model
    state = {name: torch.from_numpy(np.array(value)) for name, value in given.before.items()}
    module.load_state_dict(state)
    module.eval()
    y = torch.from_numpy(np.array(given.labels))
    about = {
        "shape": list(given.shape),
        "mean": list(given.disclosed.mean),
        "std": list(given.disclosed.std),
    }
    meta = OmegaConf.create(about | {"modality": "vision", "task": "classification"})
    torch.manual_seed(seed)
    device = {"dtype": torch.float, "device": torch.device("cpu")}
    attacker = breaching.attacks.prepare_attack(module, nn.CrossEntropyLoss(), how, device)
    payload = {
        "parameters": [p.detach().clone() for p in module.parameters()],
        "buffers": [b.clone() for b in module.buffers()],
        "metadata": meta,
    }
    said = {"num_data_points": len(y), "labels": y, "local_hyperparams": None}
    sent = [torch.from_numpy(np.array(given.update[n])) for n, _ in module.named_parameters()]
    shared = {"gradients": sent, "buffers": None, "metadata": said}
    return attacker.reconstruct([payload], [shared], {})[0]["data"].numpy()
