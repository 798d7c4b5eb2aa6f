"""A list of findings that never grows without bound.

A hostile file can be wrong in every row: all findings are counted, the first hundred of each severity are kept.
"""

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding

ECHO_LENGTH_MAX = 64


class FindingList:
    """Findings as they are noticed; ``shown`` orders and cuts them."""

    def __init__(self) -> None:
        self.total = 0
        self.refused = False
        self._refusals: list[Finding] = []
        self._notices: list[Finding] = []

    def refuse(
        self, code: Code, message: str, row: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        """Note something that refuses the file."""
        self.refused = True
        self._keep(self._refusals, Finding(code, message, row, column, _echo(value)))

    def notice(
        self, code: Code, message: str, row: int | None = None, column: str | None = None, value: str | None = None
    ) -> None:
        """Note something that the sender should know and that refuses nothing."""
        self._keep(self._notices, Finding(code, message, row, column, _echo(value), refuses=False))

    def include(self, findings: tuple[Finding, ...], total: int, *, refused: bool) -> None:
        """Take over what an earlier step noticed; ``total`` counts also what it did not keep."""
        for finding in findings:
            self._keep(self._refusals if finding.refuses else self._notices, finding)
        self.total += total - len(findings)
        self.refused = self.refused or refused

    def shown(self) -> tuple[Finding, ...]:
        """Return at most 100 findings: refusals first, whole-file findings before rows, rows ascending."""
        ordered = [*sorted(self._refusals, key=_place), *sorted(self._notices, key=_place)]
        return tuple(ordered[:FINDINGS_SHOWN_MAX])

    def _keep(self, where: list[Finding], finding: Finding) -> None:
        self.total += 1
        if len(where) < FINDINGS_SHOWN_MAX:
            where.append(finding)


def _place(finding: Finding) -> int:
    return finding.row or 0


def _echo(value: str | None) -> str | None:
    return None if value is None else value[:ECHO_LENGTH_MAX]
