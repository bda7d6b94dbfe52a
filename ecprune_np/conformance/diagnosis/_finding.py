"""A finding: what is wrong, in a sentence, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

SURVIVES = {
    "network": "the ranking of the weights survives",
    "layer": "the ranking survives within each layer, not across layers",
    "lost": "the ranking is lost",
    "": "",
}
NAMED = 3  # cases that a text names


def plural(quantity: str) -> str:
    """A quantity's name in words, for several of it."""
    return quantity if quantity.endswith("s") else f"{quantity.replace('_', ' ')}s"


@dataclass(frozen=True, repr=False)
class Finding:
    """What is wrong, in a sentence, and how sure that is.

    Attributes
    ----------
    id : str
        Its name.
    sentence : str
        What is wrong.
    equation : str
        The label of the equation that is violated.
    ranking : str
        "network" where the order of all weights survives, "layer" where only that within each layer does, "lost", or ""
        where it does not apply.
    explained : int
        In how many of the failing cases the importances or the shifts are wrong as this finding says.
    wrong : int
        How many cases fail.
    cases : tuple of str
        The names of those that it explains.
    contradicted : tuple of str
        The names of failing cases in which it predicts something else than what came.
    exact : bool
        Whether it predicts the values themselves, all digits, or only says where and of which kind the errors are.
    unit : str
        What is counted.

    Examples
    --------
    >>> print(ec.conformance.Finding("twice", "importances are doubled", "EC-3.5", "network"))
    importances are doubled [EC-3.5; the ranking of the weights survives]
    """

    id: str
    sentence: str
    equation: str = ""
    ranking: str = ""
    explained: int = 0
    wrong: int = 0
    cases: tuple[str, ...] = ()
    contradicted: tuple[str, ...] = ()
    exact: bool = False
    unit: str = "failing cases"

    def __repr__(self) -> str:
        return f"Finding({self.id}{f', {self.certainty}' if self.explained else ''})"

    def __str__(self) -> str:
        shown = [d for d in self.details if d]
        return f"{self.sentence} [{'; '.join(shown)}]" if shown else self.sentence

    @property
    def details(self) -> tuple[str, ...]:
        """The equation, what becomes of the ranking, and how sure the finding is; some may be empty."""
        return self.equation, SURVIVES[self.ranking], self.certainty if self.explained else ""

    @property
    def certainty(self) -> str:
        """How many of the failing cases it explains, exactly or by their kind, and which contradict it."""
        verb = "explains exactly" if self.exact else "fits"
        names = ", ".join(self.contradicted[:NAMED])
        more = f" and {len(self.contradicted) - NAMED} more" if len(self.contradicted) > NAMED else ""
        against = f", contradicted by {names}{more}" if names else ""
        return f"{verb} {self.explained} of {self.wrong} {self.unit}{against}"
