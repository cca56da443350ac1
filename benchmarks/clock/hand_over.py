"""Starts: how many nodes of a village can be heard to jump, from arrivals to the sender's clock.

Every node of `--scenario` starts with the programme, once for each seed; sound is not decoded. A
jump is a hard resynchronisation: the sound fades out, moves by more than 50 ms, and fades in.
"""

from collections import Counter

from benchmarks.options import count, parser_of, positive
from sim.drive import run as drive
from sim.village.scenario import names


def run(arguments: list[str]) -> int:
    """Print starts and jumps by bearer, and who jumped; return 1 when somebody did."""
    parser = parser_of("hand_over", __doc__)
    parser.add_argument("--scenario", choices=names(), default="tam_giang")
    parser.add_argument("--seeds", type=count, default=12, help="how many, from --first on")
    parser.add_argument("--first", type=count, default=1, help="first seed")
    parser.add_argument("--seconds", type=positive, default=20.0, help="of programme")
    options = parser.parse_args(arguments)
    starts: Counter[str] = Counter()
    jumps: Counter[str] = Counter()
    who: list[str] = []
    for seed in range(options.first, options.first + options.seeds):
        result = drive.run(options.scenario, seed=seed, duration_s=options.seconds, decode=False)
        for row in result.nodes:
            starts[row.bearer] += 1
            jumps[row.bearer] += row.hard_resyncs
            if row.hard_resyncs:
                who.append(f"{row.node} (seed {seed})")
    print(f"{options.scenario}, {options.seeds} seeds from {options.first}, {options.seconds:g} s")
    print(f"{'bearer':<16}{'starts':>8}{'jumps':>8}")
    for bearer in sorted(starts):
        print(f"{bearer:<16}{starts[bearer]:>8}{jumps[bearer]:>8}")
    if who:
        print(f"hand_over: {sum(jumps.values())} jumps: {', '.join(who)}")
    return 1 if who else 0
