"""An event loop on a thread of its own, so that the browser is looked after while nobody is calling.

Dialogs, redirects and pop-ups do not wait for the next step of an agent; and every call from outside has a time limit,
which Playwright's synchronous interface cannot promise. Knows nothing of browsers.
"""

import asyncio
from collections.abc import Coroutine
from threading import Thread
from typing import Any, TypeVar

__all__ = ["Background"]

Result = TypeVar("Result")


class Background:
    """Runs coroutines on a private thread, whichever thread asks and whether or not that one has a loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="mmi-gui", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result], *, timeout_s: float) -> Result:
        """Waits for a coroutine.

        Raises:
            TimeoutError: If it takes longer than `timeout_s`; it is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self) -> None:
        """Ends the loop and its thread; what still runs is cancelled."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(_cancel_the_others(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()


async def _cancel_the_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
