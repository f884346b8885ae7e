"""The RFM page's lines and cells in plain values, masked where partners look."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from analytics.charts import heat
from analytics.people import Person, contact_of, people, person
from analytics.segments import ADVICE
from analytics.selectors import RfmMap, RfmRow, member_segment
from loyalty.errors import InvalidPhone, MemberNotFound
from loyalty.models import Member
from loyalty.phones import normalise_phone
from loyalty.selectors import find_member
from loyalty.templatetags.money import percent
from promos.segments import Segment

SCORES = (5, 4, 3, 2, 1)


@dataclass(frozen=True)
class GridCell:
    """A cell of the map; `segment` is known even where nobody is in it."""

    segment: Segment
    members: int
    turnover_rub: Decimal
    heat: int
    chosen: bool


@dataclass(frozen=True)
class SegmentChoice:
    segment: Segment
    advice: str
    members: int
    turnover_rub: Decimal
    chosen: bool


@dataclass(frozen=True)
class MemberLine:
    """A person of the snapshot; `member_id` only where the reader may open the person's page."""

    name: str
    contact: str
    row: RfmRow
    segment: Segment
    member_id: UUID | None


def segment_of(r_score: int, f_score: int) -> Segment:
    """Return the segment of a pair of scores (rules.md, RFM), for cells that are empty."""
    if r_score >= 3 and f_score >= 4:
        return Segment.CHAMPIONS if r_score == 5 else Segment.LOYAL
    if r_score >= 4:
        if f_score >= 2:
            return Segment.POTENTIAL_LOYALIST
        return Segment.NEW if r_score == 5 else Segment.PROMISING
    if r_score == 3:
        return Segment.NEED_ATTENTION if f_score == 3 else Segment.ABOUT_TO_SLEEP
    if f_score == 5:
        return Segment.CANT_LOSE
    return Segment.AT_RISK if f_score >= 3 else Segment.HIBERNATING


def rfm_grid(picture: RfmMap, chosen: str) -> list[dict[str, Any]]:
    """Return the rows of the map: the most recent on top, the most frequent to the right."""
    largest = max(cell.members for cell in picture.cells)
    rows = []
    for r_score in SCORES:
        cells = []
        for f_score in reversed(SCORES):
            cell = picture.cell(r_score, f_score)
            segment = segment_of(r_score, f_score)
            members = cell.members if cell else 0
            cells.append(
                GridCell(
                    segment=segment,
                    members=members,
                    turnover_rub=cell.turnover_rub if cell else Decimal("0.00"),
                    heat=heat(members, largest),
                    chosen=segment == chosen,
                )
            )
        rows.append({"score": r_score, "cells": cells})
    return rows


def champions(picture: RfmMap) -> dict[str, Any] | None:
    """Return how many champions there are and the share of turnover they bring, for the map's title."""
    cells = [cell for cell in picture.cells if cell.segment == Segment.CHAMPIONS]
    if not cells or not picture.turnover_rub:
        return None
    brought = sum((cell.turnover_rub for cell in cells), Decimal("0.00"))
    share = percent(Decimal(round(100 * brought / picture.turnover_rub)))
    return {"members": sum(cell.members for cell in cells), "share": share}


def segment_choices(picture: RfmMap, chosen: str) -> list[SegmentChoice]:
    """Return the segments with people in them, in the order of Segment."""
    choices = []
    for segment in Segment:
        cells = [cell for cell in picture.cells if cell.segment == segment]
        if cells or segment == chosen:
            choices.append(
                SegmentChoice(
                    segment=segment,
                    advice=str(ADVICE[segment]),
                    members=sum(cell.members for cell in cells),
                    turnover_rub=sum((cell.turnover_rub for cell in cells), Decimal("0.00")),
                    chosen=segment == chosen,
                )
            )
    return choices


def member_lines(rows: Sequence[RfmRow], *, partners: Collection[UUID] | None) -> list[MemberLine]:
    """Join the rows of a page with their members, in one query and one about consents.

    partners  who reads: they see a member as each agreed to be known to them; None: the programme
    """
    known = people([row.member_id for row in rows], partners=partners)
    return [_line(row, known[row.member_id]) for row in rows]


def found_member(sought: str) -> dict[str, Any]:
    """Return the member of exactly that card or phone and their row of the latest snapshot."""
    member = _by_card_or_phone(sought)
    if member is None:
        return {"member": None}
    row = member_segment(member.pk)
    line = _line(row, person(member, in_full=True, with_page=True)) if row else None
    return {
        "member": member,
        "line": line,
        "advice": ADVICE[line.segment] if line else "",
        "contact": contact_of(member, in_full=True),
    }


def _by_card_or_phone(sought: str) -> Member | None:
    try:
        return find_member(card=sought)
    except MemberNotFound:
        pass
    try:
        return find_member(phone=normalise_phone(sought))
    except (InvalidPhone, MemberNotFound):
        return None


def _line(row: RfmRow, who: Person) -> MemberLine:
    return MemberLine(
        name=who.name,
        contact=who.contact,
        row=row,
        segment=Segment(row.segment),
        member_id=who.member_id,
    )
