"""binance-connector, the vendor's own older Python client, against the simulated Binance."""

from binance.error import ClientError, ServerError
from binance.spot import Spot

from peer import WORLD, check, control, raises

KEYS = {"api_key": WORLD["binance"]["api_key"], "api_secret": WORLD["binance"]["secret"]}


def main():
    spot = Spot(base_url=WORLD["binance"]["base_url"], **KEYS)
    check("ping", spot.ping() == {})
    check("time", spot.time()["serverTime"] > 1_600_000_000_000)
    two = spot.exchange_info(symbols=["BTCUSDT", "ETHUSDT"])
    check("exchange_info", [s["symbol"] for s in two["symbols"]] == ["BTCUSDT", "ETHUSDT"])
    bid = float(spot.depth("BTCUSDT", limit=5)["bids"][0][0])
    check("book_ticker", abs(float(spot.book_ticker("BTCUSDT")["bidPrice"]) - bid) < bid * 0.01)
    check("ticker_price", len(spot.ticker_price(symbols=["BTCUSDT", "ETHUSDT"])) == 2)
    check("klines", len(spot.klines("BTCUSDT", "1m", limit=3)) == 3)
    check("account", any(b["asset"] == "USDT" for b in spot.account()["balances"]))
    order = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC"}
    check("new_order_test", spot.new_order_test(**order, quantity=0.01, price=round(bid, 2)) == {})
    sold = spot.new_order(**order, quantity=0.01, price=round(bid * 0.99, 2))
    check("new_order FULL", sold["status"] == "FILLED" and len(sold["fills"]) >= 1, sold)
    check("commission in USDT", sold["fills"][0]["commissionAsset"] == "USDT")
    rest = spot.new_order(**order, quantity=0.01, price=round(bid * 1.1, 2), newClientOrderId="bc-1")
    check("get_order", spot.get_order("BTCUSDT", origClientOrderId="bc-1")["status"] == "NEW")
    gone = spot.cancel_order("BTCUSDT", orderId=rest["orderId"])
    check("cancel_order", gone["status"] == "CANCELED" and gone["origClientOrderId"] == "bc-1", gone)
    check("my_trades", spot.my_trades("BTCUSDT", orderId=sold["orderId"])[0]["isBuyer"] is False)
    check("get_order_rate_limit", len(spot.get_order_rate_limit()) == 2)
    check("commission", "standardCommission" in spot.query_commission_rates("BTCUSDT"))
    check("system_status", spot.system_status() == {"status": 0, "msg": "normal"})
    check("coin_info", {c["coin"] for c in spot.coin_info()} >= {"BTC", "USDT"})
    check("deposit_address", spot.deposit_address("ETH")["address"].startswith("0x"))
    address = "0x94df8b352de7f46f64b01d3666bf6e936e44ce60"
    sent = spot.withdraw("USDT", 20, address, network="ETH", withdrawOrderId="bc-w")
    history = spot.withdraw_history(withdrawOrderId="bc-w")
    check("withdraw", [w["id"] for w in history] == [sent["id"]], history)
    check("... times are text", history[0]["applyTime"][4] == "-", history[0])
    refused = raises("-4106", ClientError, lambda: spot.withdraw(
        "USDT", 20, address, network="ETH", addressTag="1"))
    check("... code", refused.error_code == -4106, refused.error_code)
    check("deposit_history", spot.deposit_history(coin="USDT") == [])
    check("api_key_permissions", spot.api_key_permissions()["enableWithdrawals"] is True)
    signed = Spot(
        base_url=WORLD["binance"]["base_url"],
        api_key=WORLD["binance"]["ed25519_api_key"],
        private_key=WORLD["binance"]["ed25519_private_key"],
    )
    check("Ed25519", any(b["asset"] == "BTC" for b in signed.account()["balances"]))
    sold = signed.new_order(**order, quantity=0.01, price=round(bid * 0.99, 2))
    check("Ed25519 order", sold["status"] == "FILLED", sold)
    small = {**order, "quantity": "0.000001", "price": str(round(bid, 2))}
    refused = raises("-1013", ClientError, lambda: spot.new_order(**small))
    check("... text", refused.error_message == "Filter failure: LOT_SIZE", refused.error_message)
    refused = raises("-1111", ClientError, lambda: spot.new_order(**{**small, "price": "1.123456789"}))
    check("... code", refused.error_code == -1111, refused.error_code)
    refused = raises("-1121", ClientError, lambda: spot.depth("NOPE"))
    check("... text", refused.error_message == "Invalid symbol.")
    control("/faults", {"target": "binance", "operation": "place_order", "fault": "http_503"})
    raises("503", ServerError, lambda: spot.new_order(**order, quantity=0.01, price=round(bid, 2)))
    used = Spot(base_url=WORLD["binance"]["base_url"], show_limit_usage=True, **KEYS).account()
    check("weights in headers", "x-mbx-used-weight-1m" in used["limit_usage"], used["limit_usage"])


main()
