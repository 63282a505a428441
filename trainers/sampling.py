"""Batches of D domains x P people x K pictures, drawn from a seed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError


class DomainSampler:
    """Draws domains, people of each, and pictures of each; with one domain it is the P x K sampler.

    People are drawn without repeats in a batch; pictures too, where a person has enough of them.

    Args:
        identities: (N,) of each picture, from 0.
        domain_of: (I,) of each identity.
        shape: Domains, people of a domain, pictures of a person.
        seed: Equal seeds draw equal batches.

    Raises:
        InputError: Fewer domains, or fewer people in one, than a batch wants.
        ConfigError: A count below 1.
    """

    def __init__(
        self,
        identities: NDArray[np.int64],
        domain_of: NDArray[np.int64],
        shape: tuple[int, int, int],
        seed: int,
    ) -> None:
        if min(shape) < 1:
            raise ConfigError(f"a batch of {shape} is empty", "give counts from 1")
        self._shape = shape
        self._rng = np.random.default_rng(seed)
        order = np.argsort(identities, kind="stable")
        starts = np.searchsorted(identities[order], np.arange(1, len(domain_of)))
        self._pictures = np.split(order, starts)
        self._people = [np.flatnonzero(domain_of == domain) for domain in np.unique(domain_of)]
        fewest = min(len(people) for people in self._people)
        if len(self._people) < shape[0] or fewest < shape[1]:
            raise InputError(
                f"a batch wants {shape[0]} domains with {shape[1]} people each; "
                f"there are {len(self._people)}, one of them with {fewest}",
                "make the batch smaller, or give more data",
            )

    def draw(self) -> NDArray[np.int64]:
        """(D * P * K,) rows of pictures, those of a person together."""
        domains, people, _ = self._shape
        rows = [
            self._pictures_of(person)
            for domain in self._rng.choice(len(self._people), domains, replace=False)
            for person in self._rng.choice(self._people[domain], people, replace=False)
        ]
        return np.concatenate(rows)

    def state_dict(self) -> dict[str, Any]:
        """Where it is."""
        return {"generator": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self._rng.bit_generator.state = state["generator"]

    def _pictures_of(self, person: int) -> NDArray[np.int64]:
        own, count = self._pictures[person], self._shape[2]
        return self._rng.choice(own, count, replace=len(own) < count)
