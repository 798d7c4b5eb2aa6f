"""Check that a bundle holds the files that belong in one of its kind, no other ones, and nothing in two ways.

Whoever signs bundles could otherwise leave out what would not fit, or show readers one target and compute with another.
"""

from collections.abc import Mapping

import numpy as np

from crowdalpha.ids import Tournament
from market.universe import plain_universe_hash
from service.bundles.archive import COMPLETE, Bundle, differs, unreadable
from service.bundles.contents import LEDGER, RESOLUTION, ROUND, RULE, SCORES, SUBMISSIONS
from service.bundles.forms import mapping_of
from service.bundles.payments import Settled

RESOLVED = "resolved"
OF_ASSETS = ("exposures", "neutralizers", "weights_v")
"""Arrays whose rows tell which asset each is."""


def tournament_of(bundle: Bundle) -> Tournament:
    """Return the tournament of the bundle's round; raises InputRejected where no such is known here."""
    try:
        return Tournament.from_label(bundle.round.rpartition("-")[0])
    except KeyError as error:
        raise unreadable(f"it is of the round {bundle.round!r}, of no tournament that is known here") from error


def names_assets(bundle: Bundle) -> bool:
    """Say whether a complete bundle tells the assets: that of a classic round does for its auditor, and for nobody else."""
    return tournament_of(bundle) is Tournament.SIGNALS or "frozen/exposures.npy" in bundle.files


def check_files(bundle: Bundle, settled: Settled, *, sealed: bool = False) -> None:
    """Compare a bundle's files with those that belong in it, and the frozen arrays with the public ones.

    Parameters
    ----------
    sealed : bool
        Whether it was sealed to an auditor: then it is the complete one, and holds what is kept from everybody else.

    Raises
    ------
    InputRejected
        ``BUNDLE_DIFFERS``, naming the first file that is missing, strange, or another than its counterpart.
    """
    if sealed and not (bundle.kind == COMPLETE and names_assets(bundle)):
        raise differs("it was sealed to an auditor, and does not hold everything")
    needed, may_be = _public(bundle, settled)
    if bundle.kind == COMPLETE:
        more, also = _complete(bundle, settled)
        needed, may_be = needed | more, may_be | also
    for name in sorted(needed - bundle.files.keys()):
        raise differs(f"the file {name} is missing, which belongs to a round of that kind")
    for name in sorted(bundle.files.keys() - needed - may_be):
        raise differs(f"the file {name} belongs to no bundle of that kind")
    labels = None
    if settled.resolution.outcome == RESOLVED:
        labels = _labels(bundle.plain("yardstick/labels.json"), "yardstick/labels.json")
        _check_rows(bundle, "yardstick", len(labels))
    if bundle.kind == COMPLETE:
        frozen = _universe(bundle)
        _check_rows(bundle, "frozen", len(frozen))
        if labels is not None:
            _compare_twins(bundle, frozen, labels)


def check_universe(bundle: Bundle, settled: Settled) -> bool:
    """Compute a universe's hash again from its assets and its rule, where the bundle tells both.

    Returns
    -------
    bool
        False where it does not: the hash is as it was published, and nothing in the bundle follows from it.

    Raises
    ------
    InputRejected
        ``BUNDLE_DIFFERS`` where the hash is another one, or the universe was chosen from a session after the opening.
    """
    if RULE not in bundle.files:
        return False
    told = mapping_of(bundle.plain(RULE), RULE, ("as_of", "rule"), exact=True)
    if type(told["as_of"]) is not str or not isinstance(told["rule"], dict):
        raise unreadable("its universe has no date, or no rule")
    found = plain_universe_hash(told["as_of"], bundle.plain("frozen/universe.json")["asset_ids"], told["rule"])
    if found != settled.told["universe_hash"]:
        raise differs(f"its universe has the hash {found}, not {settled.told['universe_hash']}, which was published")
    if told["as_of"] > settled.told["opens_at"]:  # a day sorts before its instants
        raise differs(f"its universe is that of {told['as_of']}, and the round opened at {settled.told['opens_at']}")
    return True


def _public(bundle: Bundle, settled: Settled) -> tuple[set[str], set[str]]:
    needed, may_be = {ROUND, SUBMISSIONS, RESOLUTION, SCORES, LEDGER}, set[str]()
    if settled.resolution.outcome != RESOLVED:
        return needed, may_be
    arrays = {"target"} | ({"features"} if "fnc" in settled.terms.scoring.kinds else set())
    if not settled.told["meta_model_withheld"]:
        arrays.add("metamodel_raw")
    if tournament_of(bundle) is Tournament.SIGNALS:
        arrays |= set(OF_ASSETS)
        may_be.add("yardstick/schemes.json")
    return needed | {f"yardstick/{name}.npy" for name in arrays} | {"yardstick/labels.json"}, may_be


def _complete(bundle: Bundle, settled: Settled) -> tuple[set[str], set[str]]:
    needed = {f"files/{s['sha256']}.csv" for s in settled.submissions} | {"frozen/universe.json"}
    arrays = {"features"} if "fnc" in settled.terms.scoring.kinds else set()
    books = {"target", "metamodel_raw"}
    if names_assets(bundle):
        arrays |= set(OF_ASSETS)
        books.add("metamodel_neutral")
    may_be = {"frozen/schemes.json", RULE} if names_assets(bundle) else set()
    if settled.resolution.outcome == RESOLVED:
        arrays |= books
    else:  # void at some point: what there was by then
        may_be |= _frozen(books)
    return needed | _frozen(arrays), may_be


def _frozen(names: set[str]) -> set[str]:
    return {f"frozen/{name}.npy" for name in names}


def _labels(told: object, name: str) -> list[str]:
    """Return texts of which none stands twice."""
    if not isinstance(told, list) or any(type(label) is not str for label in told) or len(set(told)) < len(told):
        raise differs(f"its file {name} is no list of labels, each once")
    return told


def _universe(bundle: Bundle) -> list[str]:
    """Return the labels of the frozen universe; its assets are told where their arrays are."""
    told = bundle.plain("frozen/universe.json")
    fields = ["asset_ids", "labels"] if names_assets(bundle) else ["labels"]
    if not isinstance(told, Mapping) or sorted(told) != fields:
        raise differs("its universe has other fields than it should")
    lists = [_labels(told[field], "frozen/universe.json") for field in fields]
    if len(lists[0]) != len(lists[-1]):
        raise differs("its universe has not one label an asset")
    return lists[-1]


def _check_rows(bundle: Bundle, folder: str, count: int) -> None:
    """Check that each array of a folder has a row for each label."""
    for name in sorted(n for n in bundle.files if n.startswith(f"{folder}/") and n.endswith(".npy")):
        if bundle.array(name).shape[:1] != (count,):
            raise differs(f"{name} has not one row a label")


def _compare_twins(bundle: Bundle, labels: list[str], public: list[str]) -> None:
    """Compare what is public with what was frozen, row by row by the labels."""
    if sorted(labels) != sorted(public):
        raise differs("its public labels are others than those that were frozen")
    place = {label: i for i, label in enumerate(labels)}
    order = [place[label] for label in public]
    for name in sorted(n.removeprefix("yardstick/") for n in bundle.files if n.startswith("yardstick/") and n.endswith(".npy")):
        frozen, shown = bundle.array(f"frozen/{name}"), bundle.array(f"yardstick/{name}")
        if frozen.shape != shown.shape or frozen.dtype != shown.dtype:
            raise differs(f"yardstick/{name} has another form than what was frozen")
        if not np.array_equal(frozen[order], shown, equal_nan=frozen.dtype.kind == "f"):
            raise differs(f"yardstick/{name} is not what was frozen and scored with")
    schemes = [bundle.files.get(f"{folder}/schemes.json") for folder in ("frozen", "yardstick")]
    if tournament_of(bundle) is Tournament.SIGNALS and schemes[0] != schemes[1]:
        raise differs("its public label schemes are others than those that were frozen")
