"""Scenarios of a few clusters, as text: what tests of the simulator run in a second or two."""

from collections.abc import Mapping, Sequence

Cluster = tuple[str, str, str, int, int]
"""Name, profile, bearer, and its place in its hamlet in m."""

DOAI: tuple[Cluster, Cluster] = (
    ("d-01", "pi_4b_i2s", "ftth", 0, 0),
    ("d-02", "pi_zero_2w_i2s", "lte_good", 350, -200),
)
"""Two clusters of one hamlet, on the gateways and bearers that differ most."""


def village(
    hamlets: Mapping[tuple[str, int, int], Sequence[Cluster]],
    *,
    duration_s: float,
    more: str = "",
    seed: int = 3,
    playout_delay_ms: int = 300,
    commune: str = "Yên Sơn",
) -> str:
    """Return a scenario in TOML: one commune of these hamlets, by name and place in m.

    `more` are tables.
    """
    lines = [
        'title = "Thôn Đoài: vài cụm loa"',
        'question = "Does it run?"',
        f"seed = {seed}",
        f"duration_s = {duration_s}",
        f"\n[jitter]\nplayout_delay_ms = {playout_delay_ms}\n",
        more,
        f'[[communes]]\nname = "{commune}"\nx_m = 0\ny_m = 0',
    ]
    for (name, x_m, y_m), clusters in hamlets.items():
        lines.append(
            f'[[communes.hamlets]]\nname = "{name}"\nx_m = {x_m}\ny_m = {y_m}\nclusters = ['
        )
        for cluster, profile, bearer, east_m, north_m in clusters:
            lines.append(
                f'  {{ name = "{cluster}", profile = "{profile}", bearer = "{bearer}",'
                f" x_m = {east_m}, y_m = {north_m} }},"
            )
        lines.append("]")
    return "\n".join(lines) + "\n"
