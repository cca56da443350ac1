"""The speaker node: packets in, sound out. Everything outside `node.shell` does no I/O."""
