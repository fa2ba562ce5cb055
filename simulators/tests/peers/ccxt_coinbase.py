"""ccxt's coinbase client, unchanged, against the simulated Coinbase."""

import time

import ccxt

from peer import WORLD, check, control, raises

KEYS = WORLD["coinbase"]
ADDRESS = "0x94df8b352de7f46f64b01d3666bf6e936e44ce60"


def client(**over):
    """A client whose one address is the simulator's; its own throttle keeps the vendor's limits."""
    exchange = ccxt.coinbase({"apiKey": KEYS["api_key"], "secret": KEYS["secret"], **over})
    exchange.urls["api"]["rest"] = KEYS["base_url"]
    return exchange


def market_data(ex):
    markets = ex.load_markets()
    check("load_markets", {"BTC/USD", "BTC/USDT", "ETH/USDT", "SOL/USDT", "USDT/USD"} <= set(markets))
    btc = markets["BTC/USDT"]
    check("tick and step", (btc["precision"]["price"], btc["precision"]["amount"]) == (0.01, 1e-8))
    check("smallest size and cost", (btc["limits"]["amount"]["min"], btc["limits"]["cost"]["min"]) == (1e-5, 1))
    check("fees of the tier", (btc["taker"], btc["maker"]) == (0.006, 0.004), btc["taker"])
    check("the alias of a dollar book", markets["BTC/USD"]["alias"] == "BTC-USDC")
    check("currencies", ex.currencies["SOL"]["type"] == "crypto")
    check("fetch_time", abs(ex.fetch_time() - ex.milliseconds()) < 5000)
    ex.options["fetchTime"] = "v3PublicGetBrokerageTime"
    check("fetch_time (v3)", abs(ex.fetch_time() - ex.milliseconds()) < 5000)
    ticker = ex.fetch_ticker("BTC/USDT")
    check("fetch_ticker", ticker["bid"] < ticker["last"] < ticker["ask"] and ticker["timestamp"], ticker)
    private = ex.fetch_ticker("BTC/USDT", {"usePrivate": True})
    check("fetch_ticker (private)", private["bid"] < private["ask"])
    check("fetch_tickers", len(ex.fetch_tickers(["BTC/USDT", "ETH/USDT"])) == 2)
    bests = ex.fetch_bids_asks(["BTC/USDT", "SOL/USDT"])
    check("fetch_bids_asks", bests["SOL/USDT"]["bid"] < bests["SOL/USDT"]["ask"], bests)
    book = ex.fetch_order_book("BTC/USDT", 20)
    check("fetch_order_book", len(book["bids"]) == 20 and book["bids"][0] < book["asks"][0])
    book = ex.fetch_order_book("ETH/USDT", 5, {"usePrivate": True})
    check("fetch_order_book (private)", len(book["asks"]) == 5 and book["timestamp"])
    check("fetch_trades", ex.fetch_trades("BTC/USDT")[0]["price"] > 0)
    return ticker


def balance(ex, asset):
    return ex.fetch_balance({"v3": True})[asset]


def accounts(ex):
    both = ex.fetch_accounts()
    check("fetch_accounts", {"BTC", "ETH", "SOL", "USDT", "USDC"} <= {a["code"] for a in both}, both)
    ex.options["fetchAccounts"] = "fetchAccountsV2"
    older = {a["code"]: a["id"] for a in ex.fetch_accounts()}
    check("... with the same ids (v2)", all(older[a["code"]] == a["id"] for a in both), older)
    ex.options["fetchAccounts"] = "fetchAccountsV3"
    check("fetch_balance (v2)", ex.fetch_balance()["BTC"]["total"] == 5)
    check("fetch_balance (v3)", balance(ex, "USDT")["free"] == 2e6)
    fees = ex.fetch_trading_fees()
    check("fetch_trading_fees", fees["BTC/USDT"]["taker"] == 0.006)


def fee(order):
    """ccxt leaves it a string."""
    return float(order["fee"]["cost"])


def orders(ex, ticker):
    before = balance(ex, "USDT")["total"]
    low = float(ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99))
    high = float(ex.price_to_precision("BTC/USDT", ticker["ask"] * 1.2))
    sold = ex.create_order("BTC/USDT", "limit", "sell", 0.01, low)
    check("create_order", len(sold["id"]) == 36 and sold["clientOrderId"].startswith("ccxt-"), sold)
    order = ex.fetch_order(sold["id"], "BTC/USDT")
    check("limit sell executes", order["status"] == "closed" and order["filled"] == 0.01, order)
    check("fee in USDT", order["fee"]["currency"] == "USDT" and fee(order) > 0, order["fee"])
    gained = balance(ex, "USDT")["total"] - before
    check("USDT credited", abs(gained - (order["cost"] - fee(order))) < 1e-6, gained)
    trades = [t for t in ex.fetch_my_trades("BTC/USDT") if t["order"] == sold["id"]]
    check("fetch_my_trades", abs(sum(t["amount"] for t in trades) - 0.01) < 1e-12, trades)
    check("... with fees", abs(sum(t["fee"]["cost"] for t in trades) - fee(order)) < 1e-9)
    market = ex.fetch_order(ex.create_order("ETH/USDT", "market", "sell", 0.5)["id"])
    check("market sell", market["status"] == "closed" and market["type"] == "market", market)
    bought = ex.fetch_order(ex.create_market_buy_order_with_cost("ETH/USDT", 50)["id"])
    spent = bought["cost"] + fee(bought)
    check("market buy by cost, fee in it", bought["status"] == "closed" and 49.9 < spent <= 50, bought)
    part = [t for t in ex.fetch_my_trades("ETH/USDT") if t["order"] == bought["id"]]
    amount = sum(t["amount"] for t in part)
    check("... sizes in the quote are understood", abs(amount - bought["filled"]) < 1e-9, part)
    ioc = ex.create_order("BTC/USDT", "limit", "sell", 0.01, high, {"timeInForce": "IOC"})
    ioc = ex.fetch_order(ioc["id"])
    check("IOC without a buyer", ioc["status"] == "canceled" and ioc["filled"] == 0, ioc)
    fok = ex.create_order("BTC/USDT", "limit", "sell", 0.01, low, {"timeInForce": "FOK"})
    check("FOK", ex.fetch_order(fok["id"])["status"] == "closed")
    resting = ex.create_order("BTC/USDT", "limit", "sell", 0.02, high, {"postOnly": True})
    check("fetch_open_orders", [o["id"] for o in ex.fetch_open_orders("BTC/USDT")] == [resting["id"]])
    check("... what rests is held", balance(ex, "BTC")["used"] == 0.02)
    check("cancel_order", ex.cancel_order(resting["id"])["id"] == resting["id"])
    gone = wait_for(lambda: ex.fetch_order(resting["id"]), lambda o: o["status"] == "canceled")
    check("... takes effect later", gone["status"] == "canceled" and gone["filled"] == 0, gone)
    check("fetch_canceled_orders", resting["id"] in [o["id"] for o in ex.fetch_canceled_orders("BTC/USDT")])
    check("fetch_closed_orders", sold["id"] in [o["id"] for o in ex.fetch_closed_orders("BTC/USDT")])
    check("fetch_orders", len(ex.fetch_orders("BTC/USDT")) == 4)
    check("... page by page", len(pages(ex, "BTC-USDT", 3)) == 4)
    check("fetch_my_trades by time", ex.fetch_my_trades("BTC/USDT", ex.milliseconds() + 60_000) == [])


def pages(ex, product, size):
    """Every order of a product, by the cursor."""
    found, cursor = [], {}
    while True:
        asked = {"product_ids": [product], "limit": size, **cursor}
        page = ex.v3_private_get_brokerage_orders_historical_batch(asked)
        found += page["orders"]
        if not page["has_next"]:
            return found
        cursor = {"cursor": page["cursor"]}


def wait_for(ask, good):
    """Asks for up to five seconds: the vendor does some things later."""
    for _ in range(50):
        seen = ask()
        if good(seen):
            break
        time.sleep(0.1)
    return seen


def refusals(ex, ticker):
    price = float(ex.price_to_precision("BTC/USDT", ticker["bid"]))
    sell = lambda amount, at=price, **p: ex.create_order(  # noqa: E731
        "BTC/USDT", "limit", "sell", amount, at, p)
    raises("insufficient balance", ccxt.InsufficientFunds, lambda: sell(50))
    raises("post only that would take", ccxt.ExchangeError, lambda: sell(0.01, price * 0.9, postOnly=True))
    raises("too small", ccxt.ExchangeError, lambda: sell(0.00001, 10_000.0))
    raises("unknown order", ccxt.ExchangeError, lambda: ex.fetch_order("none"))
    raises("cancel unknown", ccxt.BadRequest, lambda: ex.cancel_order("none"))
    raises("wrong key", ccxt.AuthenticationError, lambda: client(apiKey="organizations/x").fetch_balance())
    swapped = client(secret=other_secret())
    raises("another secret", ccxt.AuthenticationError, lambda: swapped.fetch_balance({"v3": True}))
    late = client()
    late.seconds = lambda: int(time.time()) - 300
    raises("an old token", ccxt.AuthenticationError, late.fetch_accounts)


def other_secret():
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption())
    return pem.decode()


def fault(operation, name, **more):
    control("/faults", {"target": "coinbase", "operation": operation, "fault": name, **more})


def faults(ex, ticker):
    low = float(ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99))

    def place(mine):
        """ccxt makes ids of its own; a body of one's own has one's own."""
        sizes = {"base_size": "0.01", "limit_price": ex.price_to_precision("BTC/USDT", low)}
        return ex.v3_private_post_brokerage_orders({
            "client_order_id": mine,
            "product_id": "BTC-USDT",
            "side": "SELL",
            "order_configuration": {"sor_limit_ioc": sizes},
        })

    mine = lambda: {o["clientOrderId"] for o in ex.fetch_orders("BTC/USDT")}  # noqa: E731
    fault("place_order", "http_504_applied")
    raises("504, applied", ccxt.ExchangeError, lambda: place("applied"))
    check("... it is there", "applied" in mine())
    held = balance(ex, "BTC")["total"]
    again = place("applied")
    check("sent again, the order that is there", again["success"] and balance(ex, "BTC")["total"] == held, again)
    fault("place_order", "http_500_not_applied")
    raises("500, not applied", ccxt.ExchangeError, lambda: place("lost"))
    check("... it is not", "lost" not in mine())
    fault("place_order", "http_502_html")
    raises("502 page", ccxt.ExchangeNotAvailable, lambda: place("page"))
    fault("place_order", "rate_limited")
    raises("429", ccxt.RateLimitExceeded, lambda: place("slow"))
    fault("place_order", "partial_fill", value="5000")
    part = ex.fetch_order(place("part")["order_id"])
    check("partial fill", part["status"] == "canceled" and part["filled"] == 0.005, part)
    fault("place_order", "slow_accept", delay_ms=1_000)
    slow = place("slow")["order_id"]
    check("taken, not started", ex.fetch_order(slow)["info"]["status"] == "PENDING")
    check("... started", wait_for(lambda: ex.fetch_order(slow), lambda o: o["status"] == "closed")["filled"] == 0.01)
    fault("get_order", "unknown_status")
    check("a status nobody knows", ex.fetch_order(slow)["status"] in (None, "UNKNOWN_ORDER_STATUS"))


def signed_with_ed25519(ticker):
    """The second key: the base64 that the developer platform shows."""
    ex = client(apiKey=KEYS["ed25519_api_key"], secret=KEYS["ed25519_private_key"])
    ex.load_markets()
    check("Ed25519: fetch_balance", balance(ex, "BTC")["total"] > 0)
    low = float(ex.price_to_precision("BTC/USDT", ticker["bid"] * 0.99))
    sold = ex.create_order("BTC/USDT", "limit", "sell", 0.01, low)
    check("Ed25519: sell", ex.fetch_order(sold["id"])["status"] == "closed")
    check("Ed25519: fills", len(ex.fetch_my_trades("BTC/USDT")) > 0)


def behind(ex, ticker):
    """What a venue does to an order behind everybody's back."""
    high = float(ex.price_to_precision("BTC/USDT", ticker["ask"] * 1.2))
    order = ex.create_order("BTC/USDT", "limit", "sell", 0.02, high)
    control("/coinbase/fill", {"order_id": order["id"], "quantity": "0.004"})
    check("a resting order fills", ex.fetch_order(order["id"])["filled"] == 0.004)
    ex.cancel_order(order["id"])
    wait_for(lambda: ex.fetch_order(order["id"]), lambda o: o["status"] == "canceled")
    control("/coinbase/late_fill", {"order_id": order["id"], "quantity": "0.005"})
    late = ex.fetch_order(order["id"])
    check("late fill", late["status"] == "canceled" and late["filled"] == 0.009, late)
    mine = [t for t in ex.fetch_my_trades("BTC/USDT") if t["order"] == order["id"]]
    trade = next(t for t in mine if t["amount"] == 0.005)
    control("/coinbase/take_back", {"trade_id": trade["id"]})
    check("fill taken back", ex.fetch_order(order["id"])["filled"] == 0.004)


def crypto(ex, method, asset):
    return getattr(ex, method)(asset, None, None, {"currencyType": "crypto"})


def wallet(ex):
    by_network = ex.fetch_deposit_addresses_by_network("USDC")
    check("deposit addresses", len(by_network) == 3, list(by_network))
    made = ex.create_deposit_address("BTC")
    check("create_deposit_address", made["address"].startswith("bc1q"), made)
    account = next(a["id"] for a in ex.fetch_accounts() if a["code"] == "BTC")
    listed = ex.fetch_deposit_addresses(None, {"account_id": account})
    check("fetch_deposit_addresses", listed[0]["address"] == made["address"], listed)
    arriving = {"asset": "SOL", "amount": "25", "network": "solana", "stage": "pending"}
    control("/coinbase/deposit", {**arriving, "reference": "5pending"})
    pending = crypto(ex, "fetch_deposits", "SOL")[0]
    check("a pending deposit", (pending["status"], pending["txid"]) == ("pending", "5pending"), pending)
    check("... its network", pending["info"]["network"]["network_name"] == "solana", pending)
    control("/coinbase/deposit_stage", {"reference": "5pending", "stage": "credited"})
    done = crypto(ex, "fetch_deposits", "SOL")[0]
    check("fetch_deposits", (done["status"], done["amount"]) == ("ok", 25), done)
    check("... in the balance", balance(ex, "SOL")["total"] == 20_025)
    check("fiat deposits", ex.fetch_deposits("USD") == [])
    check("fiat withdrawals", ex.fetch_withdrawals("USD") == [])


def withdrawals(ex):
    control("/coinbase/settings", {"withdraw_ms": 1_000})
    before = balance(ex, "USDT")["total"]
    idem = "7f0c1f5e-6c8d-4f0a-9c49-0a8f6f1d6a11"
    sent = ex.withdraw("USDT", 100, ADDRESS, {"network": "ethereum", "idem": idem})
    check("withdraw", (sent["status"], sent["amount"], sent["fee"]["cost"]) == ("pending", 100, 3), sent)
    again = ex.withdraw("USDT", 100, ADDRESS, {"network": "ethereum", "idem": idem})
    check("... under one token, once", again["id"] == sent["id"])
    check("... fee on top", abs(before - balance(ex, "USDT")["total"] - 103) < 1e-9)
    mine = lambda: [w for w in crypto(ex, "fetch_withdrawals", "USDT") if w["id"] == sent["id"]][0]  # noqa: E731
    gone = wait_for(mine, lambda w: w["status"] == "ok")
    check("fetch_withdrawals", gone["status"] == "ok" and gone["txid"].startswith("0x"), gone)
    both = ex.fetch_deposits_withdrawals("USDT")
    check("fetch_deposits_withdrawals", sent["id"] in [t["id"] for t in both])
    raises("too much", ccxt.ExchangeError, lambda: ex.withdraw("USDT", 5e6, ADDRESS))
    raises("a wrong address", ccxt.ExchangeError, lambda: ex.withdraw("BTC", 1, ADDRESS))
    fault("withdraw", "http_504_applied")
    lost = {"network": "ethereum", "idem": "2d1f5c1e-0000-4000-8000-0a8f6f1d6a12"}
    raises("504, applied", ccxt.ExchangeError, lambda: ex.withdraw("USDT", 50, ADDRESS, lost))
    left = balance(ex, "USDT")["total"]
    ex.withdraw("USDT", 50, ADDRESS, lost)
    check("... asked again, sent once", balance(ex, "USDT")["total"] == left)


def books():
    book = control("/books/coinbase")
    held = {a: (float(p["free"]), float(p["locked"])) for a, p in book["balances"].items()}
    sums = {
        a: (float(p.get("free", 0)), float(p.get("locked", 0)))
        for a, p in book["journal_balances"].items()
    }
    check("balances are the sum of the journal", held == sums, (held, sums))


def main():
    ex = client()
    ticker = market_data(ex)
    accounts(ex)
    orders(ex, ticker)
    refusals(ex, ticker)
    faults(ex, ticker)
    signed_with_ed25519(ticker)
    behind(ex, ticker)
    wallet(ex)
    withdrawals(ex)
    books()


main()
