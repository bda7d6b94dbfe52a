"""A scikit-learn classifier of its own digits, pruned to 10 % of its weights, is one still, and trained on stays so."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import ecprune_np as ec
from ecprune_np.interop import from_sklearn, keep_zeros, to_sklearn

x, x_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
x, x_test = x / 16, x_test / 16


def report(name, classifier):
    print(f"{name:<18} {100 * classifier.score(x_test, y_test):.1f} %")


dense = MLPClassifier(hidden_layer_sizes=(64,), max_iter=1000, random_state=0).fit(x, y)
report("dense", dense)

pruned = ec.prune_iteratively(from_sklearn(dense), x, 0.9, metric="fisher")
classifier = to_sklearn(pruned, dense)
report("pruned", classifier)

for _ in range(50):  # of one epoch each, which moves every weight
    keep_zeros(classifier.partial_fit(x, y), pruned)
report("pruned, trained on", classifier)
left = sum(int((w != 0).sum()) for w in classifier.coefs_)
print(f"{pruned.mlp.n_weights:,} weights, {left:,} of them left")
