"""Shares of an epoch, written from the rule and with fractions: the other side of EpochTallyTests.

One line in, one line out; fields separated by commas:
  bp_operators bp_treasury bp_infrastructure fallback_to, fallback net carry, wallet net carry, …
  operators treasury infrastructure, wallet weight share carry_out, …, fallback weight share carry_out
"""

import sys
from fractions import Fraction
from math import floor


def largest_remainder(amount, weights):
    total = sum(weights)
    exact = [Fraction(amount * weight, total) for weight in weights]
    shares = [floor(x) for x in exact]
    order = sorted(range(len(weights)), key=lambda i: (shares[i] - exact[i], i))
    for i in order[: amount - sum(shares)]:
        shares[i] += 1
    return shares


def tally(text):
    head, *rows = text.split(",")
    *points, fallback_to = head.split()
    lines = []
    for row in rows:
        name, net, carry = row.split()
        lines.append((name == "fallback", name, int(net) + int(carry), int(net)))
    lines.sort()
    gross = sum(line[3] for line in lines)
    sign = -1 if gross < 0 else 1
    operators, treasury, infrastructure = (
        sign * part for part in largest_remainder(abs(gross), [int(p) for p in points])
    )
    weights = [max(0, standing) for _, _, standing, _ in lines]
    if gross >= 0 and sum(weights) > 0:
        shares = largest_remainder(operators, weights)
    else:
        shares = [operators if is_fallback else 0 for is_fallback, *_ in lines]
    if fallback_to == "treasury":
        treasury += shares[-1]
    else:
        infrastructure += shares[-1]
    answer = [f"{sum(shares[:-1])} {treasury} {infrastructure}"]
    for (_, name, standing, _), weight, share in zip(lines, weights, shares):
        answer.append(f"{name} {weight} {share} {min(0, standing)}")
    return ",".join(answer)


for line in sys.stdin:
    print(tally(line.strip()))
