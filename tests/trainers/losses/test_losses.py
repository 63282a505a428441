"""Every loss against the loop that its formula describes."""

import math

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import ConfigError  # noqa: E402
from trainers.losses.identity import IdentityLoss  # noqa: E402
from trainers.losses.prototypes import PrototypeLoss  # noqa: E402
from trainers.losses.supcon import supervised_contrastive  # noqa: E402
from trainers.losses.together import EmbedderLoss, LossSettings  # noqa: E402
from trainers.losses.triplet import batch_hard_triplet  # noqa: E402

pytestmark = pytest.mark.torch

DOMAIN_OF = torch.tensor([0, 0, 0, 1, 1, 1, 1])
PEOPLE = torch.tensor([0, 0, 1, 3, 3, 3, 4, 6])  # person 1, 4 and 6 have one picture


@pytest.fixture
def rows() -> "torch.Tensor":
    torch.manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(len(PEOPLE), 5, dtype=torch.float64), dim=1)


def cosine(a: "torch.Tensor", b: "torch.Tensor") -> float:
    return float((a @ b / a.norm() / b.norm()).detach())


def own_domain(person: int) -> list[int]:
    return [other for other in range(len(DOMAIN_OF)) if DOMAIN_OF[other] == DOMAIN_OF[person]]


@pytest.mark.parametrize(("margin", "smoothing"), [(0.0, 0.0), (0.2, 0.0), (0.2, 0.1)])
def test_identity_loss(rows: "torch.Tensor", margin: float, smoothing: float) -> None:
    loss = IdentityLoss(DOMAIN_OF, 5, scale=10.0, margin=margin, smoothing=smoothing).double()
    expected = 0.0
    for row, y in zip(rows, PEOPLE.tolist(), strict=True):
        known = own_domain(y)
        logits = {j: 10 * (cosine(row, loss.directions[j]) - margin * (j == y)) for j in known}
        total = sum(math.exp(logit) for logit in logits.values())
        for j in known:
            target = (1 - smoothing) * (j == y) + smoothing / len(known)
            expected -= target * math.log(math.exp(logits[j]) / total) / len(rows)
    assert float(loss(rows, PEOPLE).detach()) == pytest.approx(expected)


def test_identity_loss_without_extras_is_torch_s_cross_entropy(rows: "torch.Tensor") -> None:
    one_domain = torch.zeros(7, dtype=torch.long)
    loss = IdentityLoss(one_domain, 5, scale=4.0, margin=0.0, smoothing=0.1).double()
    logits = 4 * rows @ torch.nn.functional.normalize(loss.directions, dim=1).T
    expected = torch.nn.functional.cross_entropy(logits, PEOPLE, label_smoothing=0.1)
    assert float(loss(rows, PEOPLE).detach()) == pytest.approx(float(expected.detach()))


def test_prototype_loss(rows: "torch.Tensor") -> None:
    loss = PrototypeLoss(DOMAIN_OF, 5, temperature=0.3).double()
    loss.memory.mul_(torch.linspace(0.2, 2, 7)[:, None])  # the similarity is a cosine: lengths do not count
    expected = 0.0
    for row, y in zip(rows, PEOPLE.tolist(), strict=True):
        powers = {j: math.exp(cosine(row, loss.memory[j]) / 0.3) for j in own_domain(y)}
        expected -= math.log(powers[y] / sum(powers.values())) / len(rows)
    assert float(loss(rows, PEOPLE).detach()) == pytest.approx(expected)


def test_prototypes_move_towards_the_hardest_picture_of_each_person(rows: "torch.Tensor") -> None:
    loss = PrototypeLoss(DOMAIN_OF, 5, momentum=0.7).double()
    before = loss.memory.clone()
    loss.update(rows, PEOPLE)
    for person in range(7):
        own = [row for row, y in zip(rows, PEOPLE.tolist(), strict=True) if y == person]
        if own:
            hardest = min(own, key=lambda row: cosine(row, before[person]))
            assert torch.allclose(loss.memory[person], 0.7 * before[person] + 0.3 * hardest)
        else:
            assert torch.equal(loss.memory[person], before[person])


def test_supervised_contrastive_loss(rows: "torch.Tensor") -> None:
    people, domains = PEOPLE.tolist(), DOMAIN_OF[PEOPLE].tolist()
    terms = []
    for i, y in enumerate(people):
        others = [a for a in range(len(people)) if a != i and domains[a] == domains[i]]
        positives = [p for p in others if people[p] == y]
        if positives:
            total = sum(math.exp(float(rows[i] @ rows[a]) / 0.2) for a in others)
            shares = [math.exp(float(rows[i] @ rows[p]) / 0.2) / total for p in positives]
            terms.append(-sum(math.log(share) for share in shares) / len(positives))
    found = supervised_contrastive(rows, PEOPLE, DOMAIN_OF[PEOPLE], 0.2)
    assert float(found) == pytest.approx(sum(terms) / len(terms))


def test_batch_hard_triplet_loss(rows: "torch.Tensor") -> None:
    people, domains = PEOPLE.tolist(), DOMAIN_OF[PEOPLE].tolist()
    terms = []
    for i, y in enumerate(people):
        positives = [p for p in range(len(people)) if p != i and people[p] == y]
        negatives = [n for n in range(len(people)) if people[n] != y and domains[n] == domains[i]]
        if positives and negatives:
            farthest = max(float((rows[i] - rows[p]).norm()) for p in positives)
            nearest = min(float((rows[i] - rows[n]).norm()) for n in negatives)
            terms.append(max(0.0, 0.9 + farthest - nearest))
    found = batch_hard_triplet(rows, PEOPLE, DOMAIN_OF[PEOPLE], 0.9)
    assert len(terms) == 5
    assert float(found) == pytest.approx(sum(terms) / len(terms))


def test_weighted_sum_and_gradients_are_finite_even_for_a_person_alone_in_a_domain() -> None:
    settings = LossSettings(identity=0.5, prototypes=0.25, contrast=2.0, triplet=1.0)
    loss = EmbedderLoss(settings, torch.tensor([0, 0, 1]), 4)
    raw = torch.randn(5, 4, requires_grad=True)
    values = loss(torch.nn.functional.normalize(raw, dim=1), torch.tensor([0, 0, 1, 1, 2]))
    weights = {"identity": 0.5, "prototypes": 0.25, "contrast": 2.0, "triplet": 1.0}
    assert set(values) == {"loss", *weights}
    expected = sum(weight * float(values[name].detach()) for name, weight in weights.items())
    assert float(values["loss"].detach()) == pytest.approx(expected)
    values["loss"].backward()
    assert torch.isfinite(raw.grad).all()
    assert torch.isfinite(loss.identity.directions.grad).all()
    assert not loss.prototypes.memory.requires_grad


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="every loss has weight 0"):
        EmbedderLoss(LossSettings(identity=0.0), torch.tensor([0, 0]), 3)


def test_losses_begin_at_the_centroids() -> None:
    loss = EmbedderLoss(LossSettings(prototypes=1.0), torch.tensor([0, 0]), 3)
    centroids = torch.eye(3)[:2]
    loss.start_from(centroids)
    assert torch.equal(loss.identity.directions, centroids)
    assert torch.equal(loss.prototypes.memory, centroids)
