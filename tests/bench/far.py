# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A proxy that makes a server far away: bytes come half a round trip late, and connecting takes a whole one."""
import asyncio
import threading


class Far:
    """Listens at `port`, and passes on to (host, port) of a server. A thread of its own.

    `carried` counts the bytes of both directions.
    """

    def __init__(self, address, round_trip):
        self.address, self.half, self.carried = address, round_trip / 2, 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.listener = self.call(asyncio.start_server(self.serve, "127.0.0.1", 0))
        self.port = self.listener.sockets[0].getsockname()[1]

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    async def serve(self, reader, writer):
        await asyncio.sleep(2 * self.half)  # the handshake
        try:
            to_reader, to_writer = await asyncio.open_connection(*self.address)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self.carry(reader, to_writer), self.carry(to_reader, writer))

    async def carry(self, reader, writer):
        """Bytes as they come, each late by as much: what is on its way does not keep others from setting out."""
        road = asyncio.Queue()

        async def arrive():
            while (load := await road.get()) is not None:
                at, data = load
                await asyncio.sleep(max(0, at - self.loop.time()))
                writer.write(data)
                await writer.drain()

        arrival = asyncio.ensure_future(arrive())
        try:
            while data := await reader.read(1 << 16):
                self.carried += len(data)
                road.put_nowait((self.loop.time() + self.half, data))
        except OSError:
            pass
        road.put_nowait(None)
        try:
            await arrival
        except OSError:
            pass
        writer.close()

    def close(self):
        async def end():
            self.listener.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
