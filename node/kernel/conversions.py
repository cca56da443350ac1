"""The conversions of `node.units`, for kernels: they become part of each that calls them.

Python calls those of `node.units`, which many import who need no compiler; these would be compiled
at the first call.
"""

from node import units
from node.kernel import inlined

ns_to_samples = inlined(units.ns_to_samples)
samples_to_ns = inlined(units.samples_to_ns)
