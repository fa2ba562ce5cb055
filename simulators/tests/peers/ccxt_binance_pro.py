"""ccxt.pro's binance client, unchanged: market streams, the user-data stream, orders over a socket."""

import asyncio

import ccxt.pro

from peer import WORLD, check, control

BASE = WORLD["binance"]["base_url"]


def client(**over):
    """A spot client whose every address is the simulator's."""
    exchange = ccxt.pro.binance({
        "apiKey": WORLD["binance"]["api_key"],
        "secret": WORLD["binance"]["secret"],
        "enableRateLimit": False,
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            "fetchCurrencies": False,
        },
        **over,
    })
    exchange.has["fetchCurrencies"] = False
    for name in ("public", "private", "v1", "sapi", "sapiV2", "sapiV3", "sapiV4"):
        url = exchange.urls["api"][name]
        exchange.urls["api"][name] = url.replace("https://api.binance.com", BASE)
    socket = BASE.replace("http", "ws")
    exchange.urls["api"]["ws"]["spot"] = socket + "/ws"
    exchange.urls["api"]["ws"]["ws-api"]["spot"] = socket + "/ws-api/v3"
    return exchange


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 20)


async def streams(ex):
    control("/prices", {"BTCUSDT": "100000"})
    best = (await soon(ex.watch_bids_asks(["BTC/USDT"])))["BTC/USDT"]
    check("watch_bids_asks", best["bid"] < 100000 < best["ask"], best)
    moved = asyncio.ensure_future(ex.watch_bids_asks(["BTC/USDT"]))
    await asyncio.sleep(0.1)
    control("/prices", {"BTCUSDT": "101000"})
    best = (await soon(moved))["BTC/USDT"]
    check("... when the price moves", best["bid"] > 100500, best)
    check("watch_ticker", (await soon(ex.watch_ticker("BTC/USDT")))["last"] > 0)


async def account(ex, name):
    orders = asyncio.ensure_future(ex.watch_orders("BTC/USDT"))
    balance = asyncio.ensure_future(ex.watch_balance())
    await asyncio.sleep(0.5)
    placed = await soon(ex.create_order_ws("BTC/USDT", "limit", "sell", 0.01, 120000))
    check(f"{name}: create_order_ws", placed["status"] == "open", placed)
    seen = (await soon(orders))[-1]
    check(f"{name}: watch_orders", seen["id"] == placed["id"] and seen["status"] == "open", seen)
    check(f"{name}: watch_balance", (await soon(balance))["BTC"]["used"] > 0)
    fills = asyncio.ensure_future(ex.watch_my_trades("BTC/USDT"))
    await asyncio.sleep(0.1)
    control("/binance/fill", {"order_id": int(placed["id"]), "quantity": "0.004"})
    fill = (await soon(fills))[-1]
    check(f"{name}: watch_my_trades", fill["amount"] == 0.004 and fill["order"] == placed["id"], fill)
    found = await soon(ex.fetch_order_ws(placed["id"], "BTC/USDT"))
    check(f"{name}: fetch_order_ws", found["filled"] == 0.004, found)
    gone = await soon(ex.cancel_order_ws(placed["id"], "BTC/USDT"))
    check(f"{name}: cancel_order_ws", gone["status"] == "canceled", gone)
    # The client forgets the kind of account and parses nothing here: its raw answer counts.
    raw = (await soon(ex.fetch_balance_ws()))["info"]["balances"]
    check(f"{name}: fetch_balance_ws", any(b["asset"] == "BTC" and float(b["free"]) > 0 for b in raw))


async def main():
    ex = client()
    await soon(ex.load_markets())
    await streams(ex)
    await account(ex, "HMAC")
    await ex.close()
    keys = WORLD["binance"]
    ex = client(apiKey=keys["ed25519_api_key"], secret=keys["ed25519_private_key"])
    await soon(ex.load_markets())
    await account(ex, "Ed25519")
    await ex.close()


asyncio.run(main())
