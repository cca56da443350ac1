"""Tasks that live and die together, and one that waits for a word, a while at most."""

import asyncio
from collections.abc import Coroutine


async def both(*parts: Coroutine[None, None, None]) -> None:
    """Run `parts` until one of them ends or fails; end the others and pass its failure on."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def woken(wake: asyncio.Event, wait_s: float) -> None:
    """Return when `wake` is set, and after `wait_s` set it: with nothing made but a timer."""
    if wake.is_set():
        return
    timer = asyncio.get_running_loop().call_later(wait_s, wake.set)
    try:
        await wake.wait()
    finally:
        timer.cancel()
