"""Every stable code of the platform, once.

A code never changes its meaning and is never used again for another one: scripts compare it. The sentence beside it is what
``docs/errors.md`` says of it; a test keeps the two equal.
"""

from enum import StrEnum
from typing import Self


class Code(StrEnum):
    """A stable code with its meaning in one sentence (attribute ``meaning``)."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make a member whose value is the code and that carries its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # The file as a whole
    FILE_EMPTY = "file_empty", "The file holds no bytes, or nothing but line ends."
    FILE_TOO_LARGE = "file_too_large", "The file is larger than 10 MiB, or a history than 1 GiB; reading stopped there."
    FILE_NOT_TEXT = "file_not_text", "The file is an archive, a spreadsheet, a web page or another format, not CSV text."
    FILE_ENCODING = "file_encoding", "The file is not valid UTF-8."
    FILE_CONTROL = "file_control", "The file holds a control character that no CSV needs."
    FILE_HEADER = "file_header", "The first line is not the header that the tournament asks for."
    FILE_DELIMITER = "file_delimiter", "The columns are not separated by commas."
    FILE_LINE_END = "file_line_end", "Lines end with a bare carriage return, or with mixed line ends."
    FILE_QUOTE = "file_quote", "A quoted field is not closed, or holds a line end."
    FILE_BOM = "file_bom", "The file starts with a byte order mark, which was skipped."
    FILE_BLANK_LINE = "file_blank_line", "Blank lines were skipped."
    ROWS_TOO_FEW = "rows_too_few", "Fewer valid rows than the tournament's minimum."
    ROWS_TOO_MANY = "rows_too_many", "More than 20,000 rows, or 20 million in a history."
    ROW_RAGGED = "row_ragged", "A row has more or fewer fields than the header."
    # Identifiers and values
    ID_EMPTY = "id_empty", "An identifier is empty."
    ID_DUPLICATE = "id_duplicate", "The same identifier stands on more than one row."
    ID_UNKNOWN = "id_unknown", "An identifier is not in this round's universe."
    ID_MISSING = "id_missing", "Identifiers of the round are missing from the file."
    ID_LENGTH = "id_length", "An identifier is longer than 64 characters."
    ID_SPACE = "id_space", "An identifier has leading or trailing space, or an invisible character."
    COVERAGE_TOO_LOW = "coverage_too_low", "Too small a part of the round's universe is covered."
    VALUE_MISSING = "value_missing", "A value is empty."
    VALUE_NOT_A_NUMBER = "value_not_a_number", "A value is not a plain decimal number."
    VALUE_NOT_FINITE = "value_not_finite", "A value is infinite, or not a number."
    VALUE_RANGE = "value_range", "A value lies outside 0 to 1."
    VALUE_LENGTH = "value_length", "A number has too many digits."
    VALUE_UNDERFLOW = "value_underflow", "A number is too small to be told from zero and was read as zero."
    NO_VARIANCE = "no_variance", "All values are equal: there is nothing to rank."
    # Scores
    SCORE_INPUT_INVALID = "score_input_invalid", "Arrays or tables that are to be scored do not fit each other."
    # Rounds, models, providers
    ROUND_UNKNOWN = "round_unknown", "There is no such round."
    ROUND_NOT_OPEN = "round_not_open", "The round does not take submissions now."
    ROUND_STATE = "round_state", "The round's state does not allow this step."
    ROUND_NOT_DUE = "round_not_due", "The instant for this step has not come yet."
    ROUND_CLOSING = "round_closing", "A round is due to be closed: what its close counts of stakes stands still until it is."
    SUBMISSION_LATE = "submission_late", "The file came after the round had closed: it is kept, and has no stake and no weight."
    SUBMISSION_UNKNOWN = "submission_unknown", "There is no such submission."
    MODEL_UNKNOWN = "model_unknown", "There is no such model."
    MODEL_EXISTS = "model_exists", "A model of that name stands already."
    NAME_INVALID = "name_invalid", "A name is 3 to 40 of the characters a-z, 0-9 and _, and starts with a letter."
    PROVIDER_UNKNOWN = "provider_unknown", "There is no such provider."
    PROVIDER_EXISTS = "provider_exists", "A provider of that name stands already."
    # Money
    AMOUNT_INVALID = "amount_invalid", "An amount is a decimal string with at most 18 decimals."
    STAKE_POOLED = "stake_pooled", "The model belongs to its provider's pool, and a pool moves and pays all its stakes alike."
    POOL_UNKNOWN = "pool_unknown", "The provider has no pool."
    POOL_WEIGHTS = "pool_weights", "The weights of a pool are above 0, sum to at most 1, and name the provider's own models."
    RELEASE_UNKNOWN = "release_unknown", "No part of the stake is on its way back to the wallet."
    TREASURY_TOO_LOW = "treasury_too_low", "The treasury cannot cover the round's budget beside those of the open rounds."
    BALANCE_TOO_LOW = "balance_too_low", "The account does not hold that much."
    LEDGER_UNBALANCED = "ledger_unbalanced", "A transfer's entries do not sum to zero."
    LEDGER_BROKEN = "ledger_broken", "The ledger's hash chain or balances do not agree with its entries."
    PAYOUT_INPUT = "payout_input", "A payout was asked for with a score missing, or with a number out of its range."
    TRANSFER_EXISTS = "transfer_exists", "A transfer of that id was posted before with other entries."
    TRANSFER_UNKNOWN = "transfer_unknown", "There is no such transfer."
    CORRECTION_INVALID = "correction_invalid", "A correction lacks a reason or a name, or moves nothing that can be moved."
    CORRECTION_UNKNOWN = "correction_unknown", "There is no such correction."
    CORRECTION_STATE = "correction_state", "The correction was posted or withdrawn before."
    CORRECTION_EXISTS = "correction_exists", "The whole of the transfer is, or is to be, reversed by another correction."
    SECOND_APPROVER = "second_approver", "Who proposed a correction cannot approve it."
    HEAD_BROKEN = "head_broken", "The file of a kept head of the ledger cannot be used."
    TERMS_INVALID = "terms_invalid", "The payout terms contradict themselves or name an unknown score."
    CHOICE_INVALID = "choice_invalid", "A multiplier was chosen that the terms do not offer."
    GATE_HISTORY = "gate_history", "The model has no file of the week before to be compared with: it has nothing at risk."
    GATE_CHURN = "gate_churn", "The model's signal changed too much since a file of the week before: it has nothing at risk."
    GATE_TURNOVER = (
        "gate_turnover",
        "The model's neutral weights changed too much since a file of the week before: it has nothing at risk.",
    )
    GATE_STAKE = "gate_stake", "The model's stake is below the least of the terms: it has nothing at risk."
    BUNDLE_UNREADABLE = "bundle_unreadable", "A file is no bundle of this version, or a damaged one."
    BUNDLE_DIFFERS = "bundle_differs", "A bundle says something that does not follow from its own inputs."
    AUDITOR_KEY = "auditor_key", "A key of an auditor is 64 hexadecimal digits."
    BUNDLE_MISSING = "bundle_missing", "The round has no such bundle, or not yet."
    ALREADY_RESOLVED = "already_resolved", "The round was resolved before with other inputs."
    # Market data
    PRICES_MISSING = "prices_missing", "The price file is not there."
    PRICES_UNREADABLE = "prices_unreadable", "The price file cannot be read as the format that its name says."
    PRICES_COLUMNS = "prices_columns", "The price file lacks a column that is needed."
    PRICES_INVALID = "prices_invalid", "The price file holds rows that cannot be prices."
    PRICES_REFUSED = "prices_refused", "The batch of prices is worse than the rules of quality allow; nothing of it is used."
    INGEST_RUNNING = "ingest_running", "Another process adds market data to the home; try again later."
    DATASET_DIFFERS = (
        "dataset_differs",
        "The home keeps another market, or the dataset with another calendar, currency, basis or delay.",
    )
    META_UNREADABLE = "meta_unreadable", "The metadata file cannot be read or lacks a column that is needed."
    TICKERS_INVALID = "tickers_invalid", "The file of tickers names none, or holds a line that is no ticker."
    VENDOR_UNAVAILABLE = "vendor_unavailable", "The data vendor did not answer all; the same command goes on where it stopped."
    DATE_OUTSIDE_PANEL = "date_outside_panel", "The date lies outside the price panel."
    DATE_INVALID = "date_invalid", "A date is written as YYYY-MM-DD, and the first is not after the last."
    DATE_NOT_SESSION = "date_not_session", "The date is not a session of the exchange."
    HISTORY_TOO_SHORT = "history_too_short", "There is not enough history before the date."
    CALENDAR_END = "calendar_end", "The exchange calendar does not reach that far."
    COUNTRY_UNKNOWN = "country_unknown", "No exchange calendar is known for the country."
    LABEL_UNKNOWN = "label_unknown", "No asset had that label by what was known then."
    LABEL_EXPIRED = "label_expired", "An asset had that label before the date, and has it no longer."
    LABEL_AMBIGUOUS = "label_ambiguous", "More than one asset had that label on the date."
    SPELL_INVALID = "spell_invalid", "A row of a ticker map has a wrong id, kind, value, country or date."
    ASSET_IDS_IN_USE = (
        "asset_ids_in_use",
        "A ticker map or a dataset would leave assets of unresolved rounds, or of the fund, without prices.",
    )
    SPELL_CONFLICT = "spell_conflict", "Two rows of a ticker map contradict each other."
    FX_INVALID = "fx_invalid", "The table of exchange rates holds rows that cannot be rates."
    FX_MISSING = "fx_missing", "An exchange rate is missing, or was last known too long ago."
    MARKET_COVERAGE = "market_coverage", "Prices of too small a part of the universe are known."
    PRICE_BASIS = "price_basis", "A rule on price levels needs prices that are not adjusted."
    UNIVERSE_TOO_SMALL = "universe_too_small", "Too few assets satisfy the universe's rules."
    STRATEGY_UNSTEADY = "strategy_unsteady", "A strategy that is searched for leaks gives two answers to one question."
    # Portfolio
    MANDATE_INVALID = "mandate_invalid", "The mandate holds an unknown key or contradicts itself."
    PROBLEM_INVALID = "problem_invalid", "The rebalance problem's arrays have wrong shapes or hold values that are not finite."
    SOLVER_FAILED = "solver_failed", "No solver gave a book that passed the checks."
    BACKTEST_NOT_EXPRESSIBLE = "backtest_not_expressible", "The second backtest engine cannot express this case."
    EXPOSURE_DRIFT = "exposure_drift", "Between two decisions an exposure of the book drifted past its drift band."
    FUND_DAY_EXISTS = "fund_day_exists", "The fund's day was recorded before with other numbers."
    # Rebalances and orders
    REBALANCE_UNKNOWN = "rebalance_unknown", "There is no such rebalance."
    REBALANCE_STATE = "rebalance_state", "The rebalance's state does not allow this step."
    REBALANCE_EXPIRED = "rebalance_expired", "The open that the rebalance was decided for has passed."
    REBALANCE_BLOCKED = "rebalance_blocked", "A pre-trade check found something that keeps the rebalance from being sent."
    BOOK_BEHIND = "book_behind", "Sessions are known that the fund's book was not carried through: settle it first."
    APPROVAL_LIMIT = "approval_limit", "The rebalance lies outside the limits of automatic approval: an operator must decide."
    FUND_RUINED = (
        "fund_ruined",
        "The fund's equity is not above zero, or next to nothing beside what it holds: no book is decided on it.",
    )
    FUND_HALTED = "fund_halted", "The fund is halted: nothing is sent until it is resumed."
    PRICE_STALE = "price_stale", "A name to be traded has had no trade for too many sessions."
    PRICE_JUMP = "price_jump", "A price has moved too far since the decision."
    ORDER_OVER_ADV = "order_over_adv", "An order is too large a part of the name's usual daily volume, or that is unknown."
    GROSS_AFTER_FILL = "gross_after_fill", "Longs plus shorts would be too large after the fill."
    NET_AFTER_FILL = "net_after_fill", "Longs minus shorts would be too large after the fill."
    BETA_AFTER_FILL = "beta_after_fill", "The exposure to beta would be too large after the fill."
    ASSET_RESTRICTED = "asset_restricted", "A name on the restricted list would be traded."
    SHORT_FORBIDDEN = "short_forbidden", "A name on the no-short list would be sold short."
    SPLIT_BEFORE_FILL = "split_before_fill", "A split lies between the decision and the fill."
    LIST_ENTRY_UNKNOWN = "list_entry_unknown", "A line of the restricted or the no-short list names no asset that is known."
    BOOKS_DIFFER = "books_differ", "The broker's positions or cash differ from the fund's book."
    ORDER_UNFILLED = "order_unfilled", "The name did not trade at the open, or its volume is unknown: the order lapsed."
    ORDER_PARTIAL = "order_partial", "The order was filled in part: it was too large for the volume."
    # Settings, home, access
    SETTING_UNKNOWN = "setting_unknown", "There is no setting of that name."
    SETTING_INVALID = "setting_invalid", "A setting's value is of the wrong kind or out of range."
    HOME_MISSING = "home_missing", "The home folder is not there or was never initialized."
    HOME_VERSION = "home_version", "The home folder was written by another format version."
    HOME_IN_USE = "home_in_use", "The home folder is in use, or not empty where a fresh one is needed."
    BLOB_BROKEN = "blob_broken", "A stored file is gone, or its bytes do not have the hash that names it."
    SIGNING_KEY = "signing_key", "The key that signs receipts cannot be used."
    DEPENDENCY_MISSING = "dependency_missing", "Optional packages that this needs are not installed."
    WORKERS_LOST = "workers_lost", "A worker of a sweep died, or the scheduler does not answer; the same command goes on."
    DATABASE_UNAVAILABLE = "database_unavailable", "The database does not answer."
    KEY_INVALID = "key_invalid", "The API key is unknown or revoked."
    KEY_SCOPE = "key_scope", "The API key does not have the scope for this."
    RECEIPT_INVALID = "receipt_invalid", "The receipt's signature does not fit its text."
    REQUEST_INVALID = "request_invalid", "The request does not have the form that is documented."
    OUTPUT_PATH = "output_path", "A file that was asked for cannot be written at that path."
    NOT_FOUND = "not_found", "There is nothing at that address."
    JOB_LEASE_LOST = "job_lease_lost", "Another worker took the occurrence over; this run's result was discarded."
    INTERNAL = "internal", "Something failed inside; it was recorded under the request id."
