"""Send requests to an exchange as fast as the shared pacer allows.

python -m tests.markets.pacing_worker URL N_REQUESTS LIMIT WINDOW_S
"""

import asyncio
import sys

from mmf.markets.http import HttpClient, HttpOptions
from mmf.markets.pacing import shared_pacer


async def send(url: str, n_requests: int, limit: int, window_s: float) -> None:
    client = HttpClient(url, pacer=shared_pacer(url, limit, window_s), options=HttpOptions())
    async with client:
        await asyncio.gather(
            *(client.get("/v5/market/time", {}, lambda answer: answer.json()) for _ in range(n_requests))
        )


if __name__ == "__main__":
    sys.stdout.write("started\n")
    sys.stdout.flush()
    asyncio.run(send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
