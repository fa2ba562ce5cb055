"""What the peer checks share: the simulators' first line, the control server, and `check`."""

import json
import os
import sys
import urllib.request

WORLD = json.loads(os.environ["SIMULATORS"])


def control(path, body=None, method=None):
    """Calls the control server; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        WORLD["control"]["base_url"] + path,
        data=data,
        method=method or ("GET" if data is None else "POST"),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def check(name, truth, seen=None):
    """Prints one line; a false one ends the run."""
    if not truth:
        print(f"FAILED {name}: {seen!r}")
        sys.exit(1)
    print(f"ok {name}")


def raises(name, error, call):
    """The call must end in this error."""
    try:
        seen = call()
    except error as caught:
        print(f"ok {name} ({type(caught).__name__})")
        return caught
    except Exception as other:  # noqa: BLE001 - any other error is the finding
        check(name, False, other)
    check(name, False, seen)
