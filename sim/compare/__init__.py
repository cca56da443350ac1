"""Two answers side by side: what changed per hamlet, and how sure that is over several seeds."""
