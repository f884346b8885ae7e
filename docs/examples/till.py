#!/usr/bin/env python3
"""A till of a partner in one file, with nothing but Python 3.11: read it, run it, carry it over to yours.

    export SVOYKRUG_URL=http://127.0.0.1:8000 SVOYKRUG_KEY=sk_test_…
    python3 till.py lookup +71000000102            who is it, what may be spent
    python3 till.py quote  +71000000102 1000       what would the bill come to
    python3 till.py sell   +71000000102 1000       sell; works offline, too
    python3 till.py sell   +71000000102 1000 --redeem 150 --code 123456
    python3 till.py refund till1-000001 400        give money back; works offline, too
    python3 till.py send                           send what is still waiting

A key for tests: `manage.py create_api_key --business CODE --test`; it prints members to try.

The whole idea is the queue, a small SQLite file. A sale is written there BEFORE it is sent and marked
only after it was answered. A power cut, a lost answer or a dead network then leaves a row that is sent
again, with the very same receipt number and content: the service records a receipt once, however often
it comes, and answers a repeat as it answered the first.
"""

import argparse
import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime

TRIES, TIMEOUT_SECONDS, LONGEST_PAUSE_SECONDS = 3, 10, 5
# Not a verdict on what we sent: the same call may go through later.
COME_AGAIN = {429, 500, 502, 503, 504}

BAD_KEY = {"not_authenticated", "permission_denied"}


class Offline(Exception):
    """Nobody answered. Whether the call arrived is not known, so it must be repeated as it was."""


class Refused(Exception):
    """The service understood and said no; nothing was recorded. `code` is stable, `detail` is for people."""

    def __init__(self, problem: dict) -> None:
        super().__init__(problem["detail"])
        self.code, self.detail = problem["code"], problem["detail"]


class Service:
    """The calls of https://…/api/v1/ that a till needs."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url.rstrip("/") + "/api/v1/", key

    def call(self, method: str, path: str, body: dict | None = None, **query: str) -> dict:
        """Make a call, again where that may help. Raises Refused or Offline."""
        address = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Api-Key {self.key}", "Content-Type": "application/json"}
        for attempt in range(1, TRIES + 1):
            pause = attempt / 2
            try:
                request = urllib.request.Request(address, data, headers, method=method)
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                problem = self.problem_of(error)
                if error.code not in COME_AGAIN:
                    raise Refused(problem) from None
                told_pause = error.headers.get("Retry-After", "")
                pause = float(told_pause) if told_pause.isdigit() else pause
            except (OSError, ValueError):
                pass  # No network, no answer in time, or half of one.
            if attempt < TRIES:
                time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
        raise Offline

    @staticmethod
    def problem_of(error: urllib.error.HTTPError) -> dict:
        """Read a problem document (RFC 9457); whatever stands between us may answer with something else."""
        try:
            problem = json.load(error)
            return {"code": problem["code"], "detail": problem["detail"]}
        except (ValueError, KeyError, TypeError, OSError):
            return {"code": "", "detail": f"HTTP {error.code}"}


class Till:
    """Sales and refunds of one till, and the queue that survives whatever happens to it."""

    def __init__(self, service: Service, file: str, name: str) -> None:
        self.service, self.name = service, name
        self.queue = sqlite3.connect(file)
        self.queue.execute("PRAGMA synchronous = FULL")
        self.queue.execute(
            "CREATE TABLE IF NOT EXISTS queue (number INTEGER PRIMARY KEY AUTOINCREMENT, "
            "path TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', answer TEXT)"
        )

    def lookup(self, phone: str) -> dict:
        return self.service.call("GET", "members/lookup", phone=phone)

    def quote(self, phone: str, amount: str, redeem: str) -> dict:
        """Ask what the bill would come to; nothing is recorded."""
        body = {"member": {"phone": phone}, "amount": amount, "redeem": redeem}
        return self.service.call("POST", "quotes", body)

    def sell(self, phone: str, amount: str, redeem: str, code: str) -> str:
        """Put a sale on record; return its receipt number."""
        body = {"member": {"phone": phone}, "amount": amount}
        if float(redeem):
            # The customer's six digits prove that the customer agrees; they live a minute. So hand over the
            # goods after the answer: where nobody answers, bonuses may turn out not to be spent.
            body |= {"redeem": redeem, "presence_code": code}
        return self.put("transactions", body)

    def refund(self, receipt: str, amount: str, phone: str) -> str:
        """Put a refund on record, even of a sale that the service does not know yet."""
        body = {"refund_of": receipt, "amount": amount}
        if phone:
            body["member"] = {"phone": phone}
        return self.put("refunds", body)

    def put(self, path: str, body: dict) -> str:
        """Queue it under the next receipt number, on the disk before anything else happens."""
        with self.queue:
            number = self.queue.execute("INSERT INTO queue (path, body) VALUES (?, '')", [path]).lastrowid
            receipt = f"{self.name}-{number:06}"
            # When it happened, however late it is sent.
            body |= {"external_id": receipt, "purchased_at": datetime.now().astimezone().isoformat()}
            self.queue.execute("UPDATE queue SET body = ? WHERE number = ?", [json.dumps(body), number])
        return receipt

    def send(self) -> None:
        """Send what waits, oldest first. Raises Offline when nobody answers: the rest goes on waiting."""
        waiting = self.queue.execute(
            "SELECT number, path, body FROM queue WHERE state = 'waiting' ORDER BY number"
        ).fetchall()
        for number, path, body in waiting:
            try:
                state, answer = "sent", self.service.call("POST", path, json.loads(body))
            except Refused as refusal:
                if refusal.code in BAD_KEY:
                    raise  # Nothing is wrong with the sale: it waits for a key that works.
                # Sending it again would be refused again: a person must look.
                state, answer = "refused", {"code": refusal.code, "detail": refusal.detail}
            with self.queue:
                self.queue.execute(
                    "UPDATE queue SET state = ?, answer = ? WHERE number = ?",
                    [state, json.dumps(answer, ensure_ascii=False), number],
                )
            print(f"{json.loads(body)['external_id']}: {state}, {told(answer)}")


def told(answer: dict) -> str:
    if "code" in answer:
        return f"{answer['code']}: {answer['detail']}"
    if answer.get("status") == "parked":
        return f"waits for {answer['refund_of']}"
    return (f"to pay {answer['amount_paid']}, bonuses spent {answer['bonus_redeemed']}, "
            f"earned {answer['bonus_accrued']}, balance {answer['balance']}")  # fmt: skip


def main() -> int:
    arguments = argparse.ArgumentParser(description="A till of a partner, for example.")
    arguments.add_argument("--url", default=os.environ.get("SVOYKRUG_URL", "http://127.0.0.1:8000"))
    arguments.add_argument("--key", default=os.environ.get("SVOYKRUG_KEY", ""))
    arguments.add_argument("--queue", default="till.sqlite3", help="file of the queue")
    arguments.add_argument("--name", default="till1", help="receipt numbers begin with it")
    commands = arguments.add_subparsers(dest="command", required=True)
    for name in ("lookup", "quote", "sell", "refund", "send"):
        command = commands.add_parser(name)
        if name == "refund":
            command.add_argument("receipt")
        elif name != "send":
            command.add_argument("phone")
        if name not in ("lookup", "send"):
            command.add_argument("amount")
        if name in ("quote", "sell"):
            command.add_argument("--redeem", default="0.00", help="bonuses to spend")
        if name == "sell":
            command.add_argument("--code", default="", help="the member's six digits")
        if name == "refund":
            command.add_argument("--phone", default="", help="of a sale not sent yet")
    given = arguments.parse_args()
    till = Till(Service(given.url, given.key), given.queue, given.name)
    try:
        if given.command == "lookup":
            member = till.lookup(given.phone)
            print(f"{member['first_name']}, {member['tier']['name']}: may spend {member['available']}")
        elif given.command == "quote":
            bill = till.quote(given.phone, given.amount, given.redeem)
            print(f"to pay {bill['amount_paid']}, at most {bill['max_redeemable']} by bonuses, "
                  f"earns {bill['bonus_accrued']}")  # fmt: skip
        elif given.command == "sell":
            print(till.sell(given.phone, given.amount, given.redeem, given.code), "on record")
        elif given.command == "refund":
            print(till.refund(given.receipt, given.amount, given.phone), "on record")
        if given.command in ("sell", "refund", "send"):
            till.send()
    except Refused as refusal:
        print(f"{refusal.code}: {refusal.detail}", file=sys.stderr)
        return 1
    except Offline:
        print("Nobody answers; what is on record is sent later: till.py send", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
