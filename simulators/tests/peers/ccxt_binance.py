"""ccxt's binance client, unchanged, against the simulated Binance."""

import ccxt

from peer import WORLD, check, control, raises

BASE = WORLD["binance"]["base_url"]


def client(**over):
    """A spot client whose every address is the simulator's."""
    exchange = ccxt.binance({
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
    return exchange


def market_data(ex):
    markets = ex.load_markets()
    check("load_markets", {"BTC/USDT", "ETH/USDT", "SOL/USDT", "USDC/USDT"} <= set(markets))
    check("tick and step", markets["BTC/USDT"]["precision"] == {
        **markets["BTC/USDT"]["precision"], "price": 0.01, "amount": 0.00001,
    })
    check("fetch_time", abs(ex.fetch_time() - ex.milliseconds()) < 5000)
    check("fetch_status", ex.fetch_status()["status"] == "ok")
    ticker = ex.fetch_ticker("BTC/USDT")
    check("fetch_ticker", ticker["bid"] < ticker["ask"] and ticker["timestamp"], ticker)
    check("fetch_bids_asks", ex.fetch_bids_asks(["BTC/USDT", "ETH/USDT"])["ETH/USDT"]["bid"] > 0)
    check("fetch_last_prices", ex.fetch_last_prices(["BTC/USDT"])["BTC/USDT"]["price"] > 0)
    check("fetch_tickers", len(ex.fetch_tickers()) >= 4)
    book = ex.fetch_order_book("BTC/USDT", 20)
    check("fetch_order_book", len(book["bids"]) == 20 and book["bids"][0] < book["asks"][0])
    check("fetch_trades", len(ex.fetch_trades("BTC/USDT", limit=10)) == 10)
    check("fetch_ohlcv", len(ex.fetch_ohlcv("BTC/USDT", "1h", limit=5)) == 5)
    return ticker


def orders(ex, ticker):
    before = ex.fetch_balance()
    check("fetch_balance", before["BTC"]["free"] >= 1, before["BTC"])
    low = ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99)
    sold = ex.create_order("BTC/USDT", "limit", "sell", 0.01, float(low))
    check("limit sell executes", sold["status"] == "closed" and sold["filled"] == 0.01, sold)
    check("fee in USDT", sold["fee"]["currency"] == "USDT" and sold["fee"]["cost"] > 0, sold["fee"])
    after = ex.fetch_balance()
    gained = after["USDT"]["total"] - before["USDT"]["total"]
    check("USDT credited", abs(gained - (sold["cost"] - sold["fee"]["cost"])) < 1e-6, gained)
    check("fetch_order", ex.fetch_order(sold["id"], "BTC/USDT")["status"] == "closed")
    trades = ex.fetch_my_trades("BTC/USDT")
    check("fetch_my_trades", sum(t["amount"] for t in trades if t["order"] == sold["id"]) == 0.01)
    check("fetch_order_trades", len(ex.fetch_order_trades(sold["id"], "BTC/USDT")) >= 1)
    bought = ex.create_order("ETH/USDT", "market", "buy", 0.1)
    check("market buy", bought["status"] == "closed" and bought["fee"]["currency"] == "ETH", bought)
    cost = ex.create_market_buy_order_with_cost("ETH/USDT", 50)
    check("market buy by cost", 49 < cost["cost"] <= 50, cost["cost"])
    high = float(ex.price_to_precision("BTC/USDT", ticker["ask"] * 1.2))
    mine = {"clientOrderId": "peer-1"}
    resting = ex.create_order("BTC/USDT", "limit", "sell", 0.02, high, mine)
    check("limit sell rests", resting["status"] == "open" and resting["filled"] == 0, resting)
    raises("duplicate among open orders", ccxt.InvalidOrder, lambda: ex.create_order(
        "BTC/USDT", "limit", "sell", 0.02, high, mine))
    found = ex.fetch_order(None, "BTC/USDT", {"origClientOrderId": "peer-1"})
    check("found by client id", found["id"] == resting["id"])
    check("fetch_open_orders", [o["id"] for o in ex.fetch_open_orders("BTC/USDT")] == [resting["id"]])
    check("cancel_order", ex.cancel_order(resting["id"], "BTC/USDT")["status"] == "canceled")
    check("fetch_orders", len(ex.fetch_orders("BTC/USDT")) == 2)
    again = ex.create_order("BTC/USDT", "limit", "sell", 0.01, float(low), mine)
    check("a closed order's client id trades again", again["status"] == "closed", again)


def refusals(ex, ticker):
    price = round(ticker["bid"], 2)
    sell = lambda amount, at=price, **p: ex.create_order(  # noqa: E731
        "BTC/USDT", "limit", "sell", amount, at, p)
    raises("insufficient balance", ccxt.InsufficientFunds, lambda: sell(50))
    raises("notional", ccxt.BaseError, lambda: sell(0.00001))
    raises("unknown order", ccxt.OrderNotFound, lambda: ex.fetch_order("1", "BTC/USDT"))
    raises("cancel unknown", ccxt.OrderNotFound, lambda: ex.cancel_order("1", "BTC/USDT"))
    raises("wrong secret", ccxt.AuthenticationError, lambda: client(secret="x").fetch_balance())
    raises("wrong key", ccxt.AuthenticationError, lambda: client(apiKey="x").fetch_balance())
    late = client()
    late.nonce = lambda: ex.milliseconds() - 3_600_000
    raises("old timestamp", ccxt.InvalidNonce, late.fetch_balance)
    ioc = sell(0.01, round(ticker["ask"] * 1.1, 2), timeInForce="IOC")
    check("IOC without a buyer expires", ioc["status"] == "expired" and ioc["filled"] == 0, ioc)


def fault(operation, name, **more):
    control("/faults", {"target": "binance", "operation": operation, "fault": name, **more})


def faults(ex, ticker):
    low = float(ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99))
    place = lambda mine: ex.create_order(  # noqa: E731
        "BTC/USDT", "limit", "sell", 0.01, low, {"clientOrderId": mine})
    find = lambda mine: ex.fetch_order(None, "BTC/USDT", {"origClientOrderId": mine})  # noqa: E731
    fault("place_order", "http_504_applied")
    raises("504, applied", ccxt.RequestTimeout, lambda: place("applied"))
    check("... it is there", find("applied")["status"] == "closed")
    fault("place_order", "http_500_not_applied")
    raises("500, not applied", ccxt.OperationFailed, lambda: place("lost"))
    raises("... it is not", ccxt.OrderNotFound, lambda: find("lost"))
    fault("place_order", "http_502_html")
    raises("502 page", ccxt.ExchangeNotAvailable, lambda: place("page"))
    fault("place_order", "rate_limited")
    raises("429", ccxt.DDoSProtection, lambda: place("slow"))
    fault("get_order", "banned")
    raises("418", ccxt.DDoSProtection, lambda: find("applied"))
    fault("place_order", "partial_fill", value="5000")
    part = place("part")
    check("partial fill", part["status"] == "open" and part["filled"] == 0.005, part)
    check("... cancelled", ex.cancel_order(part["id"], "BTC/USDT")["filled"] == 0.005)
    fault("get_order", "truncated")
    raises("truncated answer", ccxt.BaseError, lambda: find("part"))
    fault("get_order", "malformed")
    check("malformed answer is not understood", find("part")["id"] is None)


def ed25519():
    """The second key: ccxt takes its PEM as the secret."""
    keys = WORLD["binance"]
    return client(apiKey=keys["ed25519_api_key"], secret=keys["ed25519_private_key"])


def signed_with_ed25519(ticker):
    ex = ed25519()
    ex.load_markets()
    check("Ed25519: fetch_balance", ex.fetch_balance()["BTC"]["total"] > 0)
    low = float(ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99))
    high = float(ex.price_to_precision("BTC/USDT", ticker["ask"] * 1.2))
    sold = ex.create_order("BTC/USDT", "limit", "sell", 0.01, low)
    check("Ed25519: sell", sold["status"] == "closed", sold)
    resting = ex.create_order("BTC/USDT", "limit", "sell", 0.01, high, {"clientOrderId": "ed-1"})
    found = ex.fetch_order(None, "BTC/USDT", {"origClientOrderId": "ed-1"})
    check("Ed25519: fetch_order", found["id"] == resting["id"])
    check("Ed25519: cancel", ex.cancel_order(resting["id"], "BTC/USDT")["status"] == "canceled")
    check("Ed25519: fills", len(ex.fetch_my_trades("BTC/USDT")) > 0)
    swapped = client(apiKey=WORLD["binance"]["api_key"], secret=WORLD["binance"]["ed25519_private_key"])
    raises("Ed25519 under the HMAC key", ccxt.AuthenticationError, swapped.fetch_balance)


def fees(ex, ticker):
    control("/binance/settings", {"fee_asset": "BNB"})
    low = float(ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99))
    sold = ex.create_order("BTC/USDT", "limit", "sell", 0.01, low)
    check("fee in BNB", sold["fee"]["currency"] == "BNB" and sold["fee"]["cost"] > 0, sold["fee"])
    control("/binance/settings", {"fee_asset": "received"})


def behind(ex, ticker):
    """What a venue does to an order behind everybody's back."""
    high = float(ex.price_to_precision("BTC/USDT", ticker["ask"] * 1.2))
    order = ex.create_order("BTC/USDT", "limit", "sell", 0.02, high)
    ex.cancel_order(order["id"], "BTC/USDT")
    control("/binance/late_fill", {"order_id": int(order["id"]), "quantity": "0.005"})
    late = ex.fetch_order(order["id"], "BTC/USDT")
    check("late fill", late["status"] == "canceled" and late["filled"] == 0.005, late)
    trade = ex.fetch_order_trades(order["id"], "BTC/USDT")[0]
    control("/binance/take_back", {"trade_id": int(trade["id"])})
    check("fill taken back", ex.fetch_order(order["id"], "BTC/USDT")["filled"] == 0)
    check("... and its trade", ex.fetch_order_trades(order["id"], "BTC/USDT") == [])


def wallet(ex):
    check("deposit address", ex.fetch_deposit_address("BTC")["address"].startswith("bc1q"))
    base = ex.fetch_deposit_address("USDC", {"network": "BASE"})
    check("deposit address on Base", base["address"].startswith("0x"), base)
    control("/binance/deposit", {"asset": "BTC", "amount": "0.5", "reference": "tx-peer"})
    deposits = ex.fetch_deposits("BTC")
    check("fetch_deposits", deposits[0]["amount"] == 0.5 and deposits[0]["status"] == "ok", deposits)
    arriving = {"asset": "USDC", "amount": "25", "network": "base", "stage": "pending"}
    control("/binance/deposit", {**arriving, "reference": "0xpending"})
    pending = ex.fetch_deposits("USDC")[0]
    check("a pending deposit", pending["status"] == "pending" and pending["network"] == "BASE", pending)
    before = ex.fetch_balance()["USDC"]["total"]
    control("/binance/deposit_stage", {"reference": "0xpending", "stage": "credited"})
    check("... credited", ex.fetch_deposits("USDC")[0]["status"] == "ok")
    check("... in the balance", ex.fetch_balance()["USDC"]["total"] == before + 25)
    check("fetch_withdrawals", ex.fetch_withdrawals() == [])
    check("fetch_trading_fees", ex.fetch_trading_fees()["BTC/USDT"]["taker"] == 0.001)
    check("fetch_trading_fee", ex.fetch_trading_fee("BTC/USDT")["maker"] == 0.001)
    ex.has["fetchCurrencies"] = True
    ex.options["fetchCurrencies"] = True
    networks = ex.fetch_currencies()["USDC"]["networks"]
    check("fetch_currencies", {"ERC20", "BASE", "SOL"} <= set(networks), list(networks))


def withdrawals(ex):
    """To WazirX's own address, where the coins arrive."""
    control("/binance/settings", {"withdraw_ms": 0})
    control("/transfers", {"delay_ms": 0})
    before = float(control("/books/wazirx")["balances"]["USDT"]["free"])
    address = wazirx_address()
    sent = ex.withdraw("USDT", 100, address, {"network": "ETH", "withdrawOrderId": "peer-w"})
    check("withdraw", len(sent["id"]) == 32, sent)
    # The clock is the machine's: what is due happens at the next calls.
    control("/healthz")
    control("/healthz")
    seen = ex.fetch_withdrawals("USDT")[0]
    check("fetch_withdrawals", seen["id"] == sent["id"] and seen["status"] == "ok", seen)
    check("... fee beside it", seen["amount"] == 97 and seen["fee"]["cost"] == 3, seen)
    after = float(control("/books/wazirx")["balances"]["USDT"]["free"])
    check("... arrived at the other venue", after == before + 97, (before, after))
    raises("too little (-4022)", ccxt.ExchangeError, lambda: ex.withdraw("USDT", 1, address, {"network": "ETH"}))
    raises("too much (-4026)", ccxt.ExchangeError, lambda: ex.withdraw("USDT", 5e6, address, {"network": "ETH"}))
    fault("withdraw", "http_504_applied")
    again = {"network": "ETH", "withdrawOrderId": "unknown"}
    raises("504, applied", ccxt.RequestTimeout, lambda: ex.withdraw("USDT", 50, address, again))
    found = ex.sapi_get_capital_withdraw_history({"withdrawOrderId": "unknown"})
    check("... it is in the history", len(found) == 1, found)


def wazirx_address():
    """Signed by hand: WazirX's client is another version of ccxt."""
    import hashlib
    import hmac
    import json
    import time
    import urllib.request

    keys = WORLD["wazirx"]
    text = f"coin=usdt&network=eth&timestamp={int(time.time() * 1000)}"
    signature = hmac.new(keys["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()
    url = f"{keys['base_url']}/sapi/v1/crypto/deposits/address?{text}&signature={signature}"
    request = urllib.request.Request(url, headers={"X-API-KEY": keys["api_key"]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["address"]


def books():
    book = control("/books/binance")
    held = {a: (float(p["free"]), float(p["locked"])) for a, p in book["balances"].items()}
    sums = {
        a: (float(p.get("free", 0)), float(p.get("locked", 0)))
        for a, p in book["journal_balances"].items()
    }
    check("balances are the sum of the journal", held == sums, (held, sums))


def main():
    ex = client()
    ticker = market_data(ex)
    orders(ex, ticker)
    refusals(ex, ticker)
    faults(ex, ticker)
    signed_with_ed25519(ticker)
    fees(ex, ticker)
    behind(ex, ticker)
    wallet(ex)
    withdrawals(ex)
    books()


main()
