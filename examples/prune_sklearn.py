"""A scikit-learn classifier of its own digits, pruned to 20 % of its weights, is a scikit-learn classifier still."""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import ecprune_np as ec
from ecprune_np.interop import from_sklearn, to_sklearn

x, x_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
dense = MLPClassifier(hidden_layer_sizes=(64,), max_iter=1000, random_state=0).fit(x / 16, y)
pruned = to_sklearn(ec.prune_iteratively(from_sklearn(dense), x / 16, 0.8, metric="fisher"), dense)
for name, classifier in (("dense", dense), ("pruned", pruned)):
    print(f"{name:<7} {100 * classifier.score(x_test / 16, y_test):.1f} %")
