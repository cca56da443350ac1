"""Two kernels, one inside the other: if they link, all do (`node.kernel_fit`)."""

from node.inner_kernel import linked_inner_kernel
from node.kernel import linked_kernel


@linked_inner_kernel("int64(int64)")
def following(number: int) -> int:
    """Return the number after `number`."""
    return number + 1


@linked_kernel("int64(int64)")
def seventh(number: int) -> int:
    """Return the number after `number`, asked of another kernel."""
    return following(number)
