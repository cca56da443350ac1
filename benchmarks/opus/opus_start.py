"""What our decoder costs before its first packet: compiling once, and each start after that.

A process of its own imports the decoder and makes one: first with an empty cache, as at
installation, then with the cache that this left. CPU time counts from after `import numba`.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Final

from benchmarks import table
from benchmarks.options import parser_of

_PROGRAM: Final = """
import json, resource, time
import numba
began_s = time.process_time()
base_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
from node.opus.decoder import OpusDecoder
OpusDecoder(48_000, 1)
print(json.dumps({
    "cpu_s": round(time.process_time() - began_s, 2),
    "rss_max_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    "of_it_numba_mb": round(base_mb, 1),
}))
"""


def run(arguments: list[str]) -> int:
    """Print CPU time and memory of each start; return 0."""
    parser = parser_of("opus_start", __doc__)
    parser.add_argument("--warm", action="store_true", help="only from the cache that is there")
    rows: dict[str, dict[str, float | None]] = {}
    if parser.parse_args(arguments).warm:
        rows["from the cache"] = _started({})
    else:
        with tempfile.TemporaryDirectory() as folder:
            for name in ("compiled anew", "from the cache"):
                rows[name] = _started({"LOALANG_KERNEL_CACHE": folder})
    table.show("opus_start", "The decoder before its first packet", rows)
    return 0


def _started(environment: dict[str, str]) -> dict[str, float | None]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    figures: dict[str, float | None] = json.loads(done.stdout)
    return figures
