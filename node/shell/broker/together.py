"""Two tasks that live and die together."""

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
