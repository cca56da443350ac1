"""The page of a sweep: one HTML file that needs nothing else."""

from importlib import resources
from typing import Final

import jinja2
from markupsafe import Markup

from sim.report.odds.charts import by_hour, by_time, by_variant
from sim.report.odds.words import foot, heading, rows, sentences
from sim.sweep.odds import Odds

_WIDE_PX: Final = 1056.0
_NARROW_PX: Final = 358.0
_BAND: Final = ".band{stroke:none;opacity:.16}" + "".join(
    f".band.b{i}{{fill:var(--b{i})}}" for i in range(6)
)


def odds_page(odds: Odds) -> str:
    """Return the whole HTML page of a sweep."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource("sim.report.odds", "odds.html.j2"))
    variants = odds.variants
    return template.render(
        odds=odds,
        css=stylesheet(),
        sentences=sentences(odds),
        foot=foot(odds),
        heading=heading(odds),
        rows=rows(odds),
        heard={w: by_variant(variants, "odds_heard", width=w) for w in (_WIDE_PX, _NARROW_PX)},
        warned={w: by_variant(variants, "odds_warned", width=w) for w in (_WIDE_PX, _NARROW_PX)},
        time={w: by_time(variants, width=w, height=300) for w in (_WIDE_PX, _NARROW_PX)},
        hour={w: by_hour(variants, width=w, height=260) for w in (_WIDE_PX, _NARROW_PX)},
        wide=_WIDE_PX,
        narrow=_NARROW_PX,
    )


def stylesheet() -> Markup:
    """Return the styles of all pages of sweeps."""
    return Markup(_resource("sim.report", "page.css") + _BAND)  # our own file: nothing of a user


def _resource(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
