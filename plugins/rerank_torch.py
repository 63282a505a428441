"""The re-rankers in torch, for a GPU; the same definitions and the same sparse form as on the processor."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import ConfigError
from pipeline.rerank import Distances, MuEntries, checks
from pipeline.settings import LARGE, Settings
from plugins.torch_table import Sparse, Table, Tensor


class TorchReranker:
    """Re-ranks on a torch device; functions and errors as in `pipeline.rerank`."""

    class Config(Settings):
        """Where to work, and how much of its memory one step may take."""

        device: str = Field(default="cuda", description="What torch calls a device.")
        memory_mb: float = Field(default=2048, gt=0, le=LARGE, description="Device memory of one step.")

    def __init__(self, config: Config) -> None:
        self._memory_mb = config.memory_mb
        try:
            self._device = torch.device(config.device)
            torch.zeros(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"torch has no device {config.device!r}: {reason}", "use device cpu") from None

    def k_reciprocal(
        self, d: Distances, k1: int, k2: int, lambda_: float, power: float, mu: MuEntries | None
    ) -> NDArray[np.float32]:
        """(Q, G) k-reciprocal distances."""
        checks.at_least(1, k1=k1, k2=k2)
        table = self._table(d.with_mu(mu))
        (lists,), largest = table.nearest([(max(k1, k2 - 1), None)])
        sets = table.expanded(lists[:, : k1 + 1], round(k1 / 2) + 1)
        return self._jaccard(table, sets, lists[:, :k2] if k2 > 1 else None, largest, lambda_, power)

    def camera_jaccard(
        self, d: Distances, query_cameras: Any, gallery_cameras: Any, k1_intra: int, k1_inter: int,
        k2_intra: int, k2_inter: int, lambda_: float, power: float, mu: MuEntries | None,
        camera_sets: bool, camera_expansion: bool, k1: int, k2: int,
    ) -> NDArray[np.float32]:  # fmt: skip
        """(Q, G) camera-aware distances."""
        checks.at_least(1, k1_intra=k1_intra, k2_intra=k2_intra, k1=k1, k2=k2)
        checks.at_least(0, k1_inter=k1_inter, k2_inter=k2_inter)
        cameras = np.concatenate(
            [
                checks.labels("query cameras", query_cameras, d.n_queries),
                checks.labels("gallery cameras", gallery_cameras, d.n_gallery),
            ]
        )
        table = self._table(d.with_mu(mu), cameras)
        wants = [
            (max(k1_intra, k2_intra - 1), True),
            (max(k1_inter + 1, k2_inter), False),
            (max(k1, k2 - 1), None),
        ]
        (intra, inter, plain), largest = table.nearest(wants)
        if camera_sets:
            mutual = [table.mutual(intra[:, : k1_intra + 1]), table.mutual(inter[:, 1 : k1_inter + 2])]
            sets = torch.unique(torch.cat(mutual))
        else:
            sets = table.expanded(plain[:, : k1 + 1], round(k1 / 2) + 1)
        mean = plain[:, :k2] if k2 > 1 else None
        if camera_expansion:
            mean = torch.cat([intra[:, :k2_intra], inter[:, 1 : k2_inter + 1]], dim=1)
        return self._jaccard(table, sets, mean, largest, lambda_, power)

    def ecn(
        self, d: Distances, k: int, t: int, q: int, method: str, mu: MuEntries | None
    ) -> NDArray[np.float32]:
        """(Q, G) ECN distances."""
        checks.at_least(1, k=k, t=t, q=q)
        if method not in ("rankdist", "origdist"):
            raise ConfigError(f"method = {method!r} is not known: use rankdist or origdist")
        table = self._table(d.with_mu(mu))
        (lists,), _ = table.nearest([(max(t, q, k - 1), None)])
        first = lists[:, 1 : t + 1]
        around = torch.cat([first, lists[first, 1 : q + 1].flatten(1)], dim=1)
        members = 2.0 * around.shape[1]
        if method == "origdist":
            return np.concatenate(
                [(part / members).float().cpu().numpy() for part in _origdist(table, around)]
            )
        places = (k - torch.arange(min(k, lists.shape[1]), device=self._device)).double()
        own = table.matrix(lists[:, :k], places)
        near = table.combined(around, own)
        parts, their_own, their_near = [], table.gallery_columns(own), table.gallery_columns(near)
        for rows in table.query_slices():
            shared = table.overlaps(near, their_own, rows, torch.mul)
            shared += table.overlaps(own, their_near, rows, torch.mul)
            plain = table.rows(torch.arange(rows.start, rows.stop, device=self._device))[:, d.n_queries :]
            parts.append(torch.where(shared > 0, -shared / members, plain.double()).float().cpu().numpy())
        return np.concatenate(parts)

    def _table(self, d: Distances, cameras: NDArray[np.int64] | None = None) -> Table:
        return Table(d, self._device, self._memory_mb, cameras)

    def _jaccard(
        self,
        table: Table,
        sets: Tensor,
        mean: Tensor | None,
        largest: Tensor,
        lambda_: float,
        power: float,
    ) -> NDArray[np.float32]:
        """(1 - lambda) * Jaccard of weights on `sets`, averaged over the rows in `mean`, + lambda * row distance."""
        checks.within(0, 1, lambda_=lambda_)
        checks.within(1e-3, 1e3, power=power)
        scale = torch.where(largest > 0, largest, torch.ones_like(largest)).double()
        rows = sets // table.n
        weight = torch.exp(-((table.pairs(sets) / scale[rows]) ** power))
        total = torch.zeros(table.n, dtype=torch.float64, device=self._device).index_add_(0, rows, weight)
        vectors = Sparse(sets, weight / total[rows])
        if mean is not None:
            vectors = table.combined(mean, vectors)
            count = (mean >= 0).sum(dim=1)
            vectors = Sparse(vectors.keys, vectors.values / count[vectors.keys // table.n])
        parts, gallery = [], table.gallery_columns(vectors)
        for part in table.query_slices():
            m = table.overlaps(vectors, gallery, part, torch.minimum)
            queries = torch.arange(part.start, part.stop, device=self._device)
            plain = table.rows(queries)[:, table.d.n_queries :].double()
            result = (1 - lambda_) * (1 - m / (2 - m)) + lambda_ * (plain / scale[queries, None]) ** power
            parts.append(result.float().cpu().numpy())
        return np.concatenate(parts)


def _origdist(table: Table, around: Tensor) -> Iterator[Tensor]:
    """(b, G) sums of the distances of each to the other's expanded neighbours."""
    q = table.d.n_queries
    for part in table.query_slices():
        images, place = torch.unique(around[part], return_inverse=True)
        counts = torch.zeros((len(around[part]), len(images)), dtype=torch.float64, device=around.device)
        counts.scatter_add_(1, place, torch.ones_like(place, dtype=torch.float64))
        near_queries = counts @ table.rows(images)[:, q:].double()
        rows = table.rows(torch.arange(part.start, part.stop, device=around.device)).double()
        near_gallery = torch.stack([row[around[q:]].sum(dim=1) for row in rows])
        yield near_queries + near_gallery
