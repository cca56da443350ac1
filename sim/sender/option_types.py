"""Arguments of `loalang-send` that are numbers."""

import argparse
import re
from typing import Any


def data_budget(text: str) -> int:
    """Return bit/s of `48k`, or of `1200MB/2h`: a month of 30 days, so many hours a day."""
    rate = re.fullmatch(r"(\d+)k", text)
    month = re.fullmatch(r"(\d+)MB/(\d+(?:\.\d+)?)h", text)
    value = 0
    if rate is not None:
        value = int(rate[1]) * 1000
    elif month is not None and 0 < float(month[2]) <= 24:
        value = round(int(month[1]) * 8e6 / (30 * 3600 * float(month[2])))
    if not 8000 <= value <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text}: must be like 48k or 1200MB/2h, 8k to 10000k")
    return value


def number(low: int, high: int) -> Any:
    """Return what reads a whole number within bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text, 0)
        except ValueError:  # no number, or one of thousands of digits
            value = low - 1
        if not low <= value <= high:
            wrong = f"{text[:40]}: must be a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(wrong)
        return value

    return parse
