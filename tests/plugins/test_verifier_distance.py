import numpy as np

from pipeline.messages import Candidate
from pipeline.protocols import Enrolled
from plugins.verifier_distance import DistanceVerifier
from tests.support.tracklets import tracklet

VECTOR = np.array([1, 0], np.float32)


def test_the_distance_decides_and_nothing_is_added() -> None:
    candidates = [Candidate("b", 2, 0.7, 2), Candidate("c", 3, 0.7, 3), Candidate("a", 1, 0.3, 1)]
    pairs = [(candidate, Enrolled(candidate.identity_id, 1, b"", VECTOR)) for candidate in candidates]
    (verdicts,) = DistanceVerifier(DistanceVerifier.Config()).verify([(tracklet(), pairs)])
    assert [(v.candidate.identity_id, v.fused, v.rank) for v in verdicts] == [
        ("a", 0.3, 1),
        ("b", 0.7, 2),
        ("c", 0.7, 3),
    ]
    assert all(v.p_no is None and v.p_no_swapped is None and v.degraded == () for v in verdicts)
