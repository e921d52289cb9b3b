"""Sharing an amount out by weight, to the last minor unit."""

from collections.abc import Mapping


def allocate(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Shares of `total` (minor units) in proportion to `weights`, by largest remainder, ties by id.

    The shares sum to `total`; each is less than one unit from its exact share; the order of `weights` moves no cent
    between ids; a negative total gives the mirror of the positive one. The result has the order of `weights`.

    Weights are not negative and, unless `total` is zero, not all zero: anything else is a defect of the caller and
    raises `ValueError`.
    """
    weight_sum = sum(weights.values())
    if any(weight < 0 for weight in weights.values()):
        raise ValueError("a weight is negative")
    if total == 0:
        return dict.fromkeys(weights, 0)
    if weight_sum == 0:
        raise ValueError("there is nothing to share out over")

    size = abs(total)
    shares: dict[str, int] = {}
    remainders: list[tuple[int, str]] = []
    for id, weight in weights.items():
        share, remainder = divmod(size * weight, weight_sum)
        shares[id] = share
        remainders.append((-remainder, id))

    remainders.sort()
    for _, id in remainders[: size - sum(shares.values())]:
        shares[id] += 1
    return shares if total > 0 else {id: -share for id, share in shares.items()}
