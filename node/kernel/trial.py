"""Two kernels, one inside the other: if they link, all do (`node.kernel.fit`)."""

from node.kernel.decorator import linked_kernel
from node.kernel.inner import linked_inner_kernel


@linked_inner_kernel("int64(int64)")
def following(number: int) -> int:
    """Return the number after `number`."""
    return number + 1


@linked_kernel("int64(int64)")
def seventh(number: int) -> int:
    """Return the number after `number`, asked of another kernel."""
    return following(number)
