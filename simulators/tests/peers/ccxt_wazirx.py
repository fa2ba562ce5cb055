"""ccxt's wazirx client (4.4.58, its last release), unchanged, against the simulated WazirX."""

import decimal

import ccxt

from peer import WORLD, check, control, raises

D = decimal.Decimal


def client(**over):
    return ccxt.wazirx({
        "apiKey": WORLD["wazirx"]["api_key"],
        "secret": WORLD["wazirx"]["secret"],
        "enableRateLimit": False,
        "urls": {"api": {"rest": WORLD["wazirx"]["base_url"] + "/sapi/v1"}},
        "options": {"networks": {"BTC": "btc"}},
        **over,
    })


def market_data(ex):
    markets = ex.load_markets()
    wanted = {"BTC/INR", "ETH/INR", "SOL/INR", "USDT/INR", "USDC/INR", "BTC/USDT", "ETH/USDT"}
    check("load_markets", wanted <= set(markets), set(markets))
    check("currencies", ex.currencies["ETH"]["deposit"] is True)
    check("fetch_time", abs(ex.fetch_time() - ex.milliseconds()) < 5000)
    check("fetch_status", ex.fetch_status()["status"] == "ok")
    ticker = ex.fetch_ticker("BTC/INR")
    check("fetch_ticker", ticker["bid"] < ticker["ask"] and ticker["timestamp"], ticker)
    check("fetch_tickers", len(ex.fetch_tickers()) == len(markets))
    book = ex.fetch_order_book("BTC/INR", 10)
    check("fetch_order_book", len(book["bids"]) == 10 and book["bids"][0] < book["asks"][0])
    check("fetch_trades", len(ex.fetch_trades("BTC/INR", limit=5)) == 5)
    check("fetch_ohlcv", len(ex.fetch_ohlcv("BTC/INR", "1h", limit=5)) == 5)
    return ticker


def free(ex, code):
    return D(str(ex.fetch_balance()[code]["free"]))


def sell(ex, price, amount=0.001, mine=None):
    params = {} if mine is None else {"clientOrderId": mine}
    return ex.create_order("BTC/INR", "limit", "sell", amount, price, params)


def expected_credit(trade):
    """Gross less fee, GST on the fee and TDS, per execution; the last two are not shown."""
    paisa = D("0.01")
    gross = (D(trade["price"]) * D(trade["qty"])).quantize(paisa, decimal.ROUND_DOWN)
    fee = (gross * D("0.002")).quantize(paisa, decimal.ROUND_HALF_UP)
    gst = (fee * D("0.18")).quantize(paisa, decimal.ROUND_HALF_UP)
    tds = (gross * D("0.01")).quantize(paisa, decimal.ROUND_HALF_UP)
    check("fee shown without GST", D(trade["fee"]) == fee, (trade, fee))
    return gross - fee - gst - tds


def orders(ex, ticker):
    before = free(ex, "INR")
    low = round(ticker["bid"] * 0.99)
    sold = sell(ex, low, mine="peer-w1")
    check("marketable limit sell is done", sold["status"] == "closed", sold)
    check("amounts are strings", sold["info"]["executedQty"] == "0.001", sold["info"])
    mine = [t for t in ex.private_get_mytrades({"symbol": "btcinr"}) if t["orderId"] == sold["id"]]
    gained = free(ex, "INR") - before
    check("INR credited after fee, GST, TDS", gained == sum(map(expected_credit, mine)), gained)
    shown = ex.private_get_order({"clientOrderId": "peer-w1"})
    check("found by client id", shown["id"] == sold["id"] and shown["status"] == "done", shown)
    raises("duplicate refused", ccxt.BadRequest, lambda: sell(ex, low, mine="peer-w1"))
    control("/wazirx/settings", {"duplicates": "accept"})
    check("duplicate accepted", sell(ex, low, mine="peer-w1")["id"] != sold["id"])
    control("/wazirx/settings", {"duplicates": "reject"})
    bought = ex.create_order("USDT/INR", "limit", "buy", 100, 95)
    check("limit buy is done", bought["status"] == "closed", bought)
    high = round(ticker["ask"] * 1.5)
    resting = sell(ex, high, 0.5)
    check("resting", resting["status"] == "open", resting)
    check("fetch_open_orders", [o["id"] for o in ex.fetch_open_orders("BTC/INR")] == [resting["id"]])
    control("/wazirx/settings", {"cancel_reply": "wait"})
    check("cancel answers wait", ex.cancel_order(resting["id"], "BTC/INR")["info"]["status"] == "wait")
    later = ex.private_get_order({"orderId": resting["id"]})
    check("cancelled later", later["status"] == "cancel" and later["executedQty"] == "0.0", later)
    check("fetch_orders", resting["id"] in [o["id"] for o in ex.fetch_orders("BTC/INR")])
    stop = ex.create_order("BTC/INR", "limit", "sell", 0.01, 100000, {"stopPrice": 200000})
    check("stop order is idle", stop["info"]["status"] == "idle", stop["info"])
    check("cancel_all_orders", len(ex.cancel_all_orders("BTC/INR")) == 1)


def refusals(ex, ticker):
    price = round(ticker["bid"])
    raises("insufficient balance", ccxt.InsufficientFunds, lambda: sell(ex, price, 500))
    raises("minimum", ccxt.InvalidOrder, lambda: sell(ex, price, 0.000001))
    raises("too precise", ccxt.BadRequest, lambda: sell(ex, price, 0.00000012))
    raises("unknown symbol", ccxt.BadSymbol, lambda: ex.public_get_depth({"symbol": "xyzinr"}))
    raises("unknown order", ccxt.BadRequest, lambda: ex.private_get_order({"orderId": "1"}))
    raises("wrong secret", ccxt.BadRequest, lambda: client(secret="x").fetch_orders("BTC/INR"))
    late = client()
    late.load_markets()
    late.milliseconds = lambda: ccxt.Exchange.milliseconds() - 3_600_000
    refused = raises("old timestamp", ccxt.BadRequest, late.fetch_balance)
    check("... 2098", "2098" in str(refused), refused)


def faults(ex, ticker):
    low = round(ticker["bid"] * 0.99)
    fault = lambda operation, name, **more: control(  # noqa: E731
        "/faults", {"target": "wazirx", "operation": operation, "fault": name, **more})
    fault("place_order", "http_500_applied")
    raises("500, applied", ccxt.BaseError, lambda: sell(ex, low, mine="applied"))
    check("... it is there", ex.private_get_order({"clientOrderId": "applied"})["status"] == "done")
    fault("place_order", "http_504")
    raises("504, not applied", ccxt.BaseError, lambda: sell(ex, low, mine="lost"))
    gone = raises("... it is not", ccxt.BadRequest,
                  lambda: ex.private_get_order({"clientOrderId": "lost"}))
    check("... and says so", "Order does not exist" in str(gone), gone)
    fault("place_order", "rate_limited")
    raises("429", ccxt.RateLimitExceeded, lambda: sell(ex, low))
    fault("place_order", "partial_fill", value="2500")
    part = sell(ex, low, 0.004)
    check("partial stays wait", part["info"]["status"] == "wait" and part["filled"] == 0.001, part)
    fault("cancel_order", "late_fill", value="5000")
    ex.cancel_order(part["id"], "BTC/INR")
    end = ex.private_get_order({"orderId": part["id"]})
    check("late fill while cancelling", end["status"] == "cancel" and end["executedQty"] == "0.0025", end)


def account(ex):
    address = ex.fetch_deposit_address("BTC", {"network": "BTC"})
    check("deposit address", address["address"].startswith("bc1q"), address)
    check("fetch_withdrawals", ex.fetch_withdrawals() == [])
    control("/wazirx/settings", {"withdraw_ms": 0, "numeric_statuses": True})
    book = ex.request("crypto/withdraw/address-book", "private", "GET", {"coin": "usdt"})
    entry = next(contact["id"] for contact in book if contact["network"] == "eth")
    sent = ex.request("crypto/withdraw", "private", "POST", {
        "coin": "usdt", "network": "eth", "amount": "100", "addressBookId": entry,
        "withdrawConsent": "true", "withdrawOrderId": "peer-w",
    })
    check("withdraw", sent["withdrawOrderId"] == "peer-w", sent)
    control("/healthz")
    gone = ex.fetch_withdrawals()[0]
    check("... in the history", gone["id"] == sent["id"] and gone["txid"], gone)
    check("... fee beside it", gone["amount"] + gone["fee"]["cost"] == 100, gone)


def books():
    book = control("/books/wazirx")
    held = {a: (D(p["free"]), D(p["locked"])) for a, p in book["balances"].items()}
    sums = {
        a: (D(p.get("free", "0")), D(p.get("locked", "0")))
        for a, p in book["journal_balances"].items()
    }
    check("balances are the sum of the journal", held == sums, (held, sums))


def main():
    ex = client()
    ticker = market_data(ex)
    orders(ex, ticker)
    refusals(ex, ticker)
    faults(ex, ticker)
    account(ex)
    books()


main()
