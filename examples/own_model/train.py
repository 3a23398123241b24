"""Train a model and write the three files that an audit of it needs."""

import numpy as np
import torch
from my_models import build
from safetensors.torch import save_file
from sklearn.datasets import load_digits

x, y = load_digits(return_X_y=True)
x = (x / 16).astype(np.float32)
random = np.random.default_rng(1)
members = random.permutation(len(x)) < len(x) // 2

torch.manual_seed(1)
model = build()
optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
inputs, labels = torch.from_numpy(x[members]), torch.from_numpy(y[members])
for _ in range(20):
    for batch in torch.randperm(len(inputs)).split(64):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        optimiser.step()

save_file(model.state_dict(), "target.safetensors")  # what was released
np.savez("records.npz", x=x, y=y)  # members and non-members, in any order
np.save("members.npy", members)  # who is who: read by the challenger alone
