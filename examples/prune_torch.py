"""A PyTorch model is trained, pruned to 10 % of its weights, and trained on with its masks."""

import torch
from torch.nn.utils import prune

import ecprune_np as ec
from ecprune_np.data import load_digits
from ecprune_np.interop import from_torch, to_torch

data = load_digits()
x, x_test = (torch.tensor(a, dtype=torch.float32) for a in (data.x_train, data.x_test))
y, y_test = torch.tensor(data.y_train), torch.tensor(data.y_test)


def train(model, epochs):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()


def report(name, model):
    correct = (model(x_test).argmax(dim=1) == y_test).float().mean()
    print(f"{name:<22} {100 * correct:.1f} %")


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(196, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
train(model, epochs=8)
report("dense", model)

pruned = ec.prune_iteratively(from_torch(model), x, 0.9, metric="fisher")
model, masks = to_torch(pruned, model, masks=True)
report("pruned", model)

linears = [layer for layer in model if isinstance(layer, torch.nn.Linear)]
for layer, mask in zip(linears, masks):
    prune.custom_from_mask(layer, "weight", mask)
train(model, epochs=4)
report("pruned, trained on", model)
print(f"{from_torch(model).n_weights:,} weights, {sum(int(m.sum()) for m in masks):,} of them left")
