"""The README's ten lines: score, prune and compare a network on real digits."""

import ecprune_np as ec
from ecprune_np.data import load_digits

data = load_digits()
mlp = ec.MLP.initialize([196, 32, 10], activation="relu", seed=0)
mlp = ec.train(mlp, data.x_train, data.y_train, "cross_entropy", learning_rate=5e-3)

scores = ec.elimination_compensation(mlp, data.x_train)  # importance and bias shift of every weight
pruned = ec.prune(mlp, scores, sparsity=0.8)  # removes 80 %, shifts the biases
rival = ec.prune(mlp, ec.criteria.magnitude(mlp), sparsity=0.8)

test = ec.Batch(data.x_test, y=data.y_test)  # samples that carry their labels
for name, network in [("dense", mlp), ("EC", pruned.mlp), ("magnitude", rival.mlp)]:
    print(f"{name:<10} {100 * ec.accuracy(network, test):.1f} %")
