"""A provider's first classic model: a ridge regression on the published history. NumPy and pandas, public doors only.

1. Ask the server for the newest open classic round; download the published dataset and the round's live table (Parquet).
2. Fit the target on the features, both centred, with a penalty that grows with the number of rows.
3. Predict the live ids, turn the predictions into ranks between 0 and 1, write them as a CSV file and send it.

Usage: ``CROWDALPHA_KEY=… python examples/classic_model.py --server ADDRESS --model ada_ridge``
"""

import argparse
import io
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pandas as pd

FEATURE_MIDDLE = 2.0
TARGET_MIDDLE = 0.5
PENALTY_PER_ROW = 0.1


def get(server: str, path: str) -> bytes:
    """Return the body of one GET; an error answer ends the program with its message."""
    try:
        with urllib.request.urlopen(server + path, timeout=60) as answer:  # noqa: S310 - the user names the server
            body: bytes = answer.read()
            return body
    except urllib.error.HTTPError as error:
        sys.exit(json.load(error)["error"]["message"])


def dataset(server: str, part: str) -> pd.DataFrame:
    """Return one part of the published classic dataset: eras with features and targets."""
    version = json.loads(get(server, "/v1/datasets/classic"))["version"]
    return pd.read_parquet(io.BytesIO(get(server, f"/v1/datasets/classic/{version}/{part}.parquet")))


def open_round(server: str) -> int:
    """Return the number of the newest classic round that takes files now."""
    rounds = json.loads(get(server, "/v1/rounds?tournament=classic"))["rounds"]
    numbers: list[int] = [round_["number"] for round_ in rounds if round_["state"] == "open"]
    if not numbers:
        sys.exit("No classic round is open now.")
    return max(numbers)


def fit(history: pd.DataFrame, features: list[str]) -> np.ndarray:
    """Return the ridge coefficients of the target on the features; rows without a target are left out."""
    known = history.dropna(subset=["target"])
    x = known[features].to_numpy(dtype=np.float64) - FEATURE_MIDDLE
    y = known["target"].to_numpy(dtype=np.float64) - TARGET_MIDDLE
    penalty = PENALTY_PER_ROW * len(x) * np.eye(len(features))
    coefficients: np.ndarray = np.linalg.solve(x.T @ x + penalty, x.T @ y)
    return coefficients


def send(server: str, model: str, number: int, file: bytes) -> tuple[int, Any]:
    """Upload ``file``; return status and JSON."""
    headers = {"Authorization": f"Token {os.getenv('CROWDALPHA_KEY', '')}", "Content-Type": "text/csv"}
    address = f"{server}/v1/models/{model}/submissions?round=classic-{number}"
    request = urllib.request.Request(address, data=file, headers=headers)  # noqa: S310 - the user names the server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def main() -> int:
    """Train, predict and send; return the exit code: 0 if the file was accepted."""
    parser = argparse.ArgumentParser(description="Train on the published history and send predictions to the open round.")
    parser.add_argument("--server", required=True, help="address that `crowdalpha serve` prints")
    parser.add_argument("--model", required=True)
    options = parser.parse_args()

    number = open_round(options.server)
    history = pd.concat([dataset(options.server, part) for part in ("train", "validation")])
    live = pd.read_parquet(io.BytesIO(get(options.server, f"/v1/rounds/classic/{number}/live")))
    features = [name for name in live.columns if name.startswith("feature_")]
    scores = (live[features].to_numpy(dtype=np.float64) - FEATURE_MIDDLE) @ fit(history, features)
    ranks = (pd.Series(scores).rank() - 0.5) / len(scores)
    file = pd.DataFrame({"id": live["id"], "prediction": ranks}).to_csv(index=False).encode()

    status, answer = send(options.server, options.model, number, file)
    if status != 201:
        print(f"Refused: {answer['error']['message']} [{answer['error']['code']}]")
        return 2
    print(f"Trained on {history['era'].nunique()} eras; accepted for round {answer['round']} at {answer['received_at']}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
