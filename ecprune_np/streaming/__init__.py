"""How moments are computed fast and in bounded memory (EC-7).

collect          read, join, pass through in blocks, merge
batches          checked batches of whatever x is
blocks           the moments of one batch, as matrix products
sensitivities    s_i from the derivatives
reduction        s_i from fewer rows, where there are more outputs than neurons
structured       products with C without C
scratch          memory that is used again
threads          blocks side by side
rows             rows of least-squares problems, for what needs more than moments
"""

__all__: list[str] = []  # what is public of it stands in `ecprune_np`


def __dir__() -> list[str]:
    return __all__
