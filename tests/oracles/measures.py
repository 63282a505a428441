"""The measures as their definitions read: loops and whole sorted lists, nothing shared with the real ones."""

from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment


def ranked_matches(row, usable, is_match):
    """True / False down the ranking; equal distances by index."""
    return [is_match(j) for j in sorted(usable, key=lambda j: (row[j], j))]


def averages(rankings, max_rank):
    """mAP, mINP, cmc, ap from one list of True / False for each query."""
    ap, inp, cmc = [], [], np.zeros(max_rank)
    for hits in rankings:
        places = [place for place, hit in enumerate(hits, 1) if hit]
        if not places:
            ap.append(np.nan)
            continue
        ap.append(sum(n / place for n, place in enumerate(places, 1)) / len(places))
        inp.append(len(places) / places[-1])
        for k in range(1, max_rank + 1):
            cmc[k - 1] += places[0] <= k
    return np.nanmean(ap), np.mean(inp), cmc / len(inp), np.array(ap)


def retrieval(distances, q_ids, g_ids, left_out, max_rank):
    """`left_out(i, j)` besides identity -1."""
    rankings = []
    for i, row in enumerate(distances):
        usable = [
            j for j in range(len(row)) if g_ids[j] != -1 and not (g_ids[j] == q_ids[i] and left_out(i, j))
        ]
        rankings.append(ranked_matches(row, usable, lambda j, i=i: g_ids[j] == q_ids[i]))
    return averages(rankings, max_rank)


def single_shot(distances, q_ids, g_ids, q_cams, g_cams, max_rank):
    """Every possible draw of one image for each identity."""
    ap, cmc, counted = [], np.zeros(max_rank), 0
    for i, row in enumerate(distances):
        usable = [j for j in range(len(row)) if g_ids[j] != -1 and g_cams[j] != q_cams[i]]
        names = sorted({g_ids[j] for j in usable})
        if q_ids[i] not in names:
            ap.append(np.nan)
            continue
        draws = list(product(*[[j for j in usable if g_ids[j] == name] for name in names]))
        counted += 1
        total = 0.0
        for draw in draws:
            place = ranked_matches(row, draw, lambda j, i=i: g_ids[j] == q_ids[i]).index(True) + 1
            total += 1 / place / len(draws)
            for k in range(place, max_rank + 1):
                cmc[k - 1] += 1 / len(draws)
        ap.append(total)
    return np.nanmean(ap), cmc / counted, np.array(ap)


def open_set(distances, q_ids, g_ids, threshold):
    """TPIR, FPIR at one threshold."""
    found = mated = false = strangers = 0
    for i, row in enumerate(distances):
        known = [j for j in range(len(row)) if g_ids[j] != -1]
        best = min(known, key=lambda j: (row[j], j))
        accepted = row[best] <= threshold
        if q_ids[i] in set(g_ids) - {-1}:
            mated += 1
            found += accepted and g_ids[best] == q_ids[i]
        else:
            strangers += 1
            false += accepted
    return found / mated, false / strangers


def box_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def hota(truth, found):
    """HOTA with its two parts; lists of {id: box}, one a frame."""
    parts = []
    affinity = _global_affinity(truth, found)
    for a in np.arange(0.05, 0.99, 0.05):
        pairs, misses, false = [], 0, 0
        for people, tracks in zip(truth, found, strict=True):
            p, t = list(people), list(tracks)
            gain = np.array(
                [
                    [affinity.get((i, j), 0) * (s := box_iou(people[i], tracks[j])) + 1e-9 * s for j in t]
                    for i in p
                ]
            ).reshape(len(p), len(t))
            chosen = [
                (p[r], t[c])
                for r, c in zip(*linear_sum_assignment(-gain), strict=True)
                if box_iou(people[p[r]], tracks[t[c]]) >= a - 1e-9
            ]
            pairs += chosen
            misses += len(p) - len(chosen)
            false += len(t) - len(chosen)
        shares = []
        for pair in pairs:
            tpa = pairs.count(pair)
            fna = sum(pair[0] in people for people in truth) - tpa
            fpa = sum(pair[1] in tracks for tracks in found) - tpa
            shares.append(tpa / (tpa + fna + fpa))
        det = len(pairs) / max(len(pairs) + misses + false, 1)
        ass = float(np.mean(shares)) if shares else 0.0
        parts.append((np.sqrt(det * ass), det, ass))
    return np.mean(parts, axis=0)


def _global_affinity(truth, found):
    together = {}
    for people, tracks in zip(truth, found, strict=True):
        s = {(i, j): box_iou(people[i], tracks[j]) for i in people for j in tracks}
        for (i, j), value in s.items():
            rest = (
                sum(v for (a, b), v in s.items() if a == i)
                + sum(v for (a, b), v in s.items() if b == j)
                - value
            )
            together[i, j] = together.get((i, j), 0) + (value / rest if rest > 0 else 0)
    return {
        (i, j): value / (sum(i in p for p in truth) + sum(j in t for t in found) - value)
        for (i, j), value in together.items()
    }


def idf1(truth, found):
    """Best one-to-one naming of tracks by trying the assignment on summed overlaps >= 0.5."""
    people, tracks = sorted({i for f in truth for i in f}), sorted({j for f in found for j in f})
    right = np.zeros((len(people), len(tracks)))
    for p, t in zip(truth, found, strict=True):
        for i in p:
            for j in t:
                right[people.index(i), tracks.index(j)] += box_iou(p[i], t[j]) >= 0.5
    idtp = right[linear_sum_assignment(-right)].sum()
    return 2 * idtp / (sum(map(len, truth)) + sum(map(len, found)))
