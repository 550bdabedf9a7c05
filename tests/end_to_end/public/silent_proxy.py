"""The cutting proxy for tests that are not asynchronous: it runs in a thread of its own."""

import threading

import trio

from tests.doubles.cutting_proxy import CuttingProxy, open_cutting_proxy


class SilentProxy:
    """A proxy at ``url`` to a port of this machine, until :meth:`close`."""

    def __init__(self, target_port: int) -> None:
        self._is_open = threading.Event()
        self._proxy: CuttingProxy
        self._token: trio.lowlevel.TrioToken
        self._closing: trio.Event
        self._thread = threading.Thread(target=trio.run, args=(self._run, target_port))
        self._thread.start()
        self._is_open.wait()
        self.url = f"http://127.0.0.1:{self._proxy.port}"

    def stall(self) -> None:
        """Pass nothing on from now, and tell nobody."""
        self._token.run_sync_soon(self._proxy.stall)

    def mend(self) -> None:
        """Pass everything on again. What was open is gone, as after a change of network."""
        self._token.run_sync_soon(self._proxy.cut)
        self._token.run_sync_soon(self._proxy.mend)

    def close(self) -> None:
        self._token.run_sync_soon(self._proxy.mend)
        self._token.run_sync_soon(self._closing.set)
        self._thread.join()

    async def _run(self, target_port: int) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._closing = trio.Event()
        async with open_cutting_proxy(target_port) as self._proxy:
            self._is_open.set()
            await self._closing.wait()
