import pytest

torch = pytest.importorskip("torch")

from trainers.training.schedule import set_rate, warmup_cosine  # noqa: E402

pytestmark = pytest.mark.torch


def test_warms_up_to_one_and_ends_at_the_floor() -> None:
    factors = [warmup_cosine(step, 100, warmup=10, floor=0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(factors) == 1.0
    assert factors[-1] == pytest.approx(0.1)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_agrees_with_torch_s_cosine() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=2.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=19)
    for step in range(20):
        assert 2.0 * warmup_cosine(step, 20) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_every_group_keeps_its_own_first_rate() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 5.0}], lr=1.0)
    for factor in (0.5, 0.1):
        assert set_rate(optimizer, factor) == factor
        assert [group["lr"] for group in optimizer.param_groups] == [factor, 5 * factor]
