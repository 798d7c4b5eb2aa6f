"""A provider's first signal: momentum from a CSV of prices, sent over HTTP. Standard library only, public doors only.

1. Ask the server for the newest open signals round and for the identifiers that it takes.
2. From a long CSV (``ticker, date, adj_close``) compute each stock's return over the last twelve months without the last one.
3. Turn the returns into ranks between 0 and 1, write them as a CSV file and send it.
4. Print the verdict with its findings, and keep the receipt.

Usage: ``CROWDALPHA_KEY=… python examples/first_signal.py --server ADDRESS --model ada_momentum --prices prices.csv``
"""

import argparse
import csv
import json
import os
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

YEAR_SESSIONS = 252
MONTH_SESSIONS = 21


def ask(server: str, path: str, key: str = "", body: bytes | None = None) -> tuple[int, Any]:
    """Return status and JSON of one request; an error answer is returned like any other."""
    headers = {"Authorization": f"Token {key}"} if key else {}
    if body is not None:
        headers["Content-Type"] = "text/csv"
    request = urllib.request.Request(server + path, data=body, headers=headers)  # noqa: S310 - the user names the server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def open_round(server: str) -> int:
    """Return the number of the newest signals round that takes files now."""
    _, answer = ask(server, "/v1/rounds?tournament=signals")
    numbers: list[int] = [round_["number"] for round_ in answer["rounds"] if round_["state"] == "open"]
    if not numbers:
        sys.exit("No signals round is open now.")
    return max(numbers)


def read_closes(path: Path, wanted: set[str]) -> dict[str, list[float]]:
    """Return the adjusted closes of the wanted tickers in the order of their dates."""
    rows: dict[str, list[tuple[str, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["ticker"] in wanted:
                rows[row["ticker"]].append((row["date"], float(row["adj_close"])))
    return {ticker: [close for _, close in sorted(dated)] for ticker, dated in rows.items()}


def momentum(closes: list[float]) -> float | None:
    """Return the return from a year ago to a month ago; None where the history is shorter."""
    if len(closes) <= YEAR_SESSIONS:
        return None
    return closes[-1 - MONTH_SESSIONS] / closes[-1 - YEAR_SESSIONS] - 1


def ranks(values: dict[str, float]) -> dict[str, float]:
    """Return evenly spaced numbers strictly between 0 and 1 in the order of the values."""
    order = sorted(values, key=lambda ticker: values[ticker])
    return {ticker: (position + 0.5) / len(order) for position, ticker in enumerate(order)}


def as_csv(signal: dict[str, float]) -> bytes:
    """Return the file that the platform reads: a header, then one row for each stock."""
    return ("ticker,signal\n" + "".join(f"{ticker},{value:.6f}\n" for ticker, value in sorted(signal.items()))).encode()


def main() -> int:
    """Send one signal and return the exit code: 0 if it was accepted."""
    parser = argparse.ArgumentParser(description="Send a momentum signal to the open round.")
    parser.add_argument("--server", required=True, help="address that `crowdalpha serve` prints")
    parser.add_argument("--model", required=True)
    parser.add_argument("--prices", required=True, type=Path, help="CSV with ticker, date, adj_close")
    parser.add_argument("--receipt", type=Path, default=Path("receipt.json"))
    options = parser.parse_args()

    number = open_round(options.server)
    _, universe = ask(options.server, f"/v1/rounds/signals/{number}/universe")
    scores = {ticker: momentum(closes) for ticker, closes in read_closes(options.prices, set(universe["ids"])).items()}
    file = as_csv(ranks({ticker: value for ticker, value in scores.items() if value is not None}))

    path = f"/v1/models/{options.model}/submissions?round=signals-{number}"
    status, answer = ask(options.server, path, os.getenv("CROWDALPHA_KEY", ""), file)
    if status != 201:
        error = answer["error"]
        print(f"Refused: {error['message']} [{error['code']}]")
        for finding in (error["details"] or {}).get("findings", []):
            print(f"  row {finding['row']}: {finding['message']} [{finding['code']}]")
        return 2
    options.receipt.write_text(json.dumps(answer["receipt"], indent=1))
    print(f"Accepted for round {answer['round']} at {answer['received_at']}; the receipt is in {options.receipt}.")
    for finding in answer["findings"]:
        print(f"  note: {finding['message']} [{finding['code']}]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
