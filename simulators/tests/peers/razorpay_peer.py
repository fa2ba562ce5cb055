"""The bank rail driven by the vendor's own Python client, unchanged: it knows no payouts, so they go
through its low-level calls; webhooks are verified with its utility."""

import http.server
import json
import os
import threading
import time
import urllib.request
import uuid

import razorpay
from razorpay.errors import BadRequestError, ServerError, SignatureVerificationError

BASE = os.environ["RAZORPAYX_BASE_URL"]
CONTROL = os.environ["CONTROL_URL"]
ACCOUNT = os.environ["ACCOUNT_NUMBER"]
SECRET = os.environ["WEBHOOK_SECRET"]
RUN = uuid.uuid4().hex[:8]

client = razorpay.Client(auth=(os.environ["KEY_ID"], os.environ["KEY_SECRET"]), base_url=BASE)


def steer(path, body):
    request = urllib.request.Request(
        CONTROL + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(what, look):
    for _ in range(100):
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("never: " + what)


def refused(kind, words, call):
    try:
        call()
    except kind as error:
        assert words in str(error), str(error)
        return
    raise AssertionError("was not refused: " + words)


def order(reference):
    return {
        "account_number": ACCOUNT,
        "amount": 123400,
        "currency": "INR",
        "mode": "UPI",
        "purpose": "payout",
        "reference_id": reference,
        "narration": "Chai Corner",
        "fund_account": {
            "account_type": "vpa",
            "vpa": {"address": "python." + RUN + "@okbank"},
            "contact": {"name": "Python " + RUN, "type": "vendor"},
        },
    }


def pay(body, key):
    return client.post("/v1/payouts", body, headers={"X-Payout-Idempotency": key})


def contacts():
    contact = client.post("/v1/contacts", {"name": "Asha " + RUN, "type": "vendor"})
    assert client.get("/v1/contacts/" + contact["id"], {}) == contact
    patched = client.patch("/v1/contacts/" + contact["id"], {"active": False})
    assert patched["active"] is False
    refused(BadRequestError, "The name field is required.", lambda: client.post("/v1/contacts", {}))
    refused(
        BadRequestError, "The requested URL was not found on the server.",
        lambda: client.get("/v1/nothing", {}),
    )


def payouts():
    reference = "py-" + RUN
    key = str(uuid.uuid4())
    payout = pay(order(reference), key)
    assert payout["status"] == "processing" and payout["amount"] == 123400, payout
    assert pay(order(reference), key)["id"] == payout["id"]
    refused(
        BadRequestError, "Different request body", lambda: pay(order(reference + "x"), key)
    )
    refused(
        BadRequestError, "Idempotency key is missing.",
        lambda: client.post("/v1/payouts", order(reference)),
    )
    one = "/v1/payouts/" + payout["id"]
    paid = until("processed", lambda: settled(client.get(one, {}), "processed"))
    assert len(paid["utr"]) == 12 and paid["utr"].isdigit(), paid
    query = {"account_number": ACCOUNT, "reference_id": reference}
    found = client.get("/v1/payouts", query)
    assert found["count"] == 1 and found["items"][0]["id"] == payout["id"], found


def settled(payout, status):
    return payout if payout["status"] == status else None


def outcomes():
    reference = "rev-" + RUN
    steer("/razorpayx/plan", {"reference_id": reference, "outcomes": ["reversed_after_processed"]})
    payout = pay(order(reference), str(uuid.uuid4()))
    one = "/v1/payouts/" + payout["id"]
    gone = until("reversed", lambda: settled(client.get(one, {}), "reversed"))
    assert gone["status_details"]["reason"] == "beneficiary_bank_rejected", gone
    lines = client.get("/v1/transactions", {"account_number": ACCOUNT, "count": 100})["items"]
    back = [line for line in lines if line["source"].get("payout_id") == payout["id"]]
    assert [line["credit"] for line in back] == [123990], back


def faults():
    reference = "fault-" + RUN
    key = str(uuid.uuid4())
    fault = {
        "target": "razorpayx", "operation": "create_payout", "fault": "http_500_applied",
    }
    steer("/faults", fault)
    refused(ServerError, "", lambda: pay(order(reference), key))
    query = {"account_number": ACCOUNT, "reference_id": reference}
    assert client.get("/v1/payouts", query)["count"] == 1
    pay(order(reference), key)
    assert client.get("/v1/payouts", query)["count"] == 1


def webhooks():
    hooks = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            hooks.append((dict(self.headers.items()), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/hooks" % server.server_port
    steer("/razorpayx/webhooks", {"url": url, "mode": {"duplicate": 1}})
    try:
        payout = pay(order("hook-" + RUN), str(uuid.uuid4()))

        def processed():
            return [
                (headers, body) for headers, body in hooks
                if json.loads(body)["event"] == "payout.processed"
                and json.loads(body)["payload"]["payout"]["entity"]["id"] == payout["id"]
            ]

        first, second = until("two copies", lambda: len(processed()) == 2 and processed())
        assert first[1] == second[1]
        assert first[0]["x-razorpay-event-id"] == second[0]["x-razorpay-event-id"]
        headers, body = first
        signature = headers["X-Razorpay-Signature"]
        assert client.utility.verify_webhook_signature(body, signature, SECRET)
        refused(
            SignatureVerificationError, "Verification Failed",
            lambda: client.utility.verify_webhook_signature(body + " ", signature, SECRET),
        )
    finally:
        steer("/razorpayx/webhooks", {"url": "", "mode": {}})
        server.shutdown()


for check in (contacts, payouts, outcomes, faults, webhooks):
    check()
    print("ok razorpay (python): " + check.__name__)
