"""The limits by which batches are judged, each with its reason. A limit that no figure supports says so."""

from dataclasses import dataclass

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected


@dataclass(frozen=True, slots=True)
class QualityRules:
    """Limits of the quality gate; logarithms are natural.

    Attributes
    ----------
    jump_log_min : float
        No move up to this is doubted: a quarter a day happens to some stock every week.
    jump_deviations : float
        Nor is one up to this many of the ticker's own trailing deviations, since penny stocks move by half on a plain day.
    jump_log_young : float
        The limit while fewer than ``young_sessions`` prices were accepted, when the own deviation says little.
    jump_log_hard : float
        Beyond a factor of 3.5 no volume makes a move believable at once.
    news_log_min : float
        A move counts as news when shares *and* value traded both rise to 2.2 times their trailing mean: in a split shares rise
        and value does not, in a wrong unit value rises and shares do not.
    lively_log_min, lively_log_max : float
        A move of less than half that has no split's ratio is believed on 1.35 times the usual trade already.
    confirm_sessions : int
        Later sessions on the new level that make a jump a move; one wrong day is often followed by a second.
    break_sessions : int
        Later sessions on the new level, without news, that make it a break of the series; a vendor who forgot a split tells of
        it within two weeks or never.
    break_log_min : float
        A jump without news of a factor of 1.9 or more is a break (a split, a spin-off, another company), not a return.
    break_rise_log, break_fall_log : float
        A rise to five times or a fall to a tenth is a break whatever was traded: the largest moves on news of eight years of US
        stocks are 4 times and a seventh.
    young_sessions : int
        Prices that a ticker must have before its own deviation is believed.
    deviation_sessions, volume_sessions : int
        Mean ages of the trailing means of moves and of volumes.
    ratio_tolerance_log : float
        How near to a split's ratio a move must be, beside the own deviation.
    reuse_gap_sessions : int
        A ticker that was silent for a month and comes back on another level is another company until somebody says otherwise.
    market_rows_min : int
        Moves of fewer tickers have no median worth taking out.
    dividend_log_min : float
        A dividend above a twentieth of the price must show in the price.
    adjustment_fall_log_max : float
        ``adj_close`` over ``close`` never falls; rounding of small prices does up to this.
    range_tolerance_share : float
        Vendors round open, high, low and close apart: this much outside the range is rounding.
    noise_share : float
        Relative difference that float32 makes of a number.
    restatement_share_max, restatement_age_days_max : float, int
        A correction of up to 5 % within ten days is the vendor's daily work; any other waits for a person.
    zero_volume_week_sessions : int
        Sessions without volume that make a week.
    stale_sessions : int
        Sessions behind from which a ticker is stale.
    live_gap_sessions : int
        A ticker is expected for this many sessions after its last row, unless it was delisted.
    coverage_share_min : float
        Part of the expected tickers below which a session is thin: a round that needs it is held.
    answered_share_min : float
        Part of the expected tickers below which the batch is refused: the vendor is broken, not the companies.
    bad_share_max, bad_rows_min : float, int
        The batch is refused when more than this part of its rows is bad, and at least so many.
    ticker_length_max : int
        No exchange has longer ones.
    open_required, volume_required : bool
        False for a source that never has them; then no row lacks them.
    """

    jump_log_min: float = 0.25
    jump_deviations: float = 8.0
    jump_log_young: float = 0.35
    jump_log_hard: float = 1.25
    news_log_min: float = 0.8
    lively_log_min: float = 0.3
    lively_log_max: float = 0.5
    confirm_sessions: int = 2
    break_sessions: int = 10
    break_log_min: float = 0.64
    break_rise_log: float = 1.6
    break_fall_log: float = 2.3
    young_sessions: int = 20
    deviation_sessions: int = 40
    volume_sessions: int = 20
    ratio_tolerance_log: float = 0.04
    reuse_gap_sessions: int = 21
    market_rows_min: int = 10
    dividend_log_min: float = 0.05
    adjustment_fall_log_max: float = 0.005
    range_tolerance_share: float = 0.005
    noise_share: float = 1e-6
    restatement_share_max: float = 0.05
    restatement_age_days_max: int = 10
    zero_volume_week_sessions: int = 5
    stale_sessions: int = 3
    live_gap_sessions: int = 10
    coverage_share_min: float = 0.8
    answered_share_min: float = 0.5
    bad_share_max: float = 0.05
    bad_rows_min: int = 20
    ticker_length_max: int = 24
    open_required: bool = True
    volume_required: bool = True

    def __post_init__(self) -> None:
        wrong = [
            (not 0 < self.jump_log_min <= self.jump_log_young <= self.jump_log_hard, "the limits of a jump do not ascend"),
            (not 1 <= self.confirm_sessions <= self.break_sessions, "a break is confirmed sooner than a jump"),
            (min(self.deviation_sessions, self.volume_sessions, self.jump_deviations) < 1, "a trailing mean has no length"),
            (not 0 <= self.answered_share_min <= self.coverage_share_min <= 1, "the shares of coverage do not ascend"),
        ]
        for bad, why in wrong:
            if bad:
                raise InputRejected(Code.SETTING_INVALID, f"The rules of data quality contradict themselves: {why}.")
