from collections import Counter

import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError
from trainers.sampling import DomainSampler

DOMAIN_OF = np.repeat([0, 1, 2], [4, 5, 6])
IDENTITIES = np.concatenate([np.repeat(np.arange(14), 5), [14, 14]])  # person 14 has two pictures only


def test_a_batch_has_the_shape_asked_for() -> None:
    order = np.random.default_rng(5).permutation(len(IDENTITIES))
    identities = IDENTITIES[order]
    sampler = DomainSampler(identities, DOMAIN_OF, (2, 3, 4), seed=0)
    seen: set[int] = set()
    for _ in range(50):
        rows = sampler.draw()
        people = identities[rows].reshape(6, 4)
        assert (people == people[:, :1]).all()
        assert len(set(people[:, 0])) == 6
        assert sorted(Counter(DOMAIN_OF[people[:, 0]]).values()) == [3, 3]
        for own, group in zip(people[:, 0], rows.reshape(6, 4), strict=True):
            assert own == 14 or len(set(group)) == 4
        seen |= set(people[:, 0].tolist())
    assert seen == set(range(15))


def test_equal_seeds_draw_equal_batches_and_go_on_from_a_state() -> None:
    one, other = (DomainSampler(IDENTITIES, DOMAIN_OF, (1, 4, 2), seed=3) for _ in range(2))
    assert one.draw().tolist() == other.draw().tolist()
    state = one.state_dict()
    expected = [one.draw().tolist() for _ in range(3)]
    fresh = DomainSampler(IDENTITIES, DOMAIN_OF, (1, 4, 2), seed=99)
    fresh.load_state_dict(state)
    assert [fresh.draw().tolist() for _ in range(3)] == expected


def test_a_batch_that_the_data_cannot_fill_is_refused() -> None:
    with pytest.raises(InputError, match="there are 3, one of them with 4"):
        DomainSampler(IDENTITIES, DOMAIN_OF, (2, 5, 4), seed=0)
    with pytest.raises(InputError, match="there are 3"):
        DomainSampler(IDENTITIES, DOMAIN_OF, (4, 1, 4), seed=0)
    with pytest.raises(ConfigError, match="is empty"):
        DomainSampler(IDENTITIES, DOMAIN_OF, (1, 0, 4), seed=0)
