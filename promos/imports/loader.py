"""A file of purchases is recorded chunk by chunk, safe to run again."""

import gc
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import DatabaseError, OperationalError, connection
from django.db.models import F
from django.db.transaction import atomic, set_rollback
from django.utils import timezone
from django.utils.translation import gettext as _

from loyalty.models import Business, ImportJob, Member, ParkedRefund
from svoykrug.collector import uncollected
from svoykrug.db.bulk import insert_rows
from svoykrug.db.models import uuid7

from .cells import shown
from .chunk import Chunk, rejected
from .errors import CellFault, FileRefused, Rejection
from .header import read_header, suggestion
from .lanes import Lanes, Started, split
from .profiles import DEFAULT, Profile
from .reader import FileRecord, read_records, verify
from .report import ErrorFile, ImportReport
from .rows import Row, RowReader

CHUNK_ROWS = 2000
# A till may hold a member for a moment, or two imports may cross: the chunk is taken again.
TRIES = 4
RETRIED = {"40P01", "55P03", "40001"}
# A dry run keeps the first refusals for the admin; the error file has them all.
KEPT_OF_DRY_RUN = 1000
# Refunds of this file that wait for their purchase; beyond it they are counted as parked for good.
REMEMBERED_PARKED = 100_000

COUNTED = ("read", "created", "duplicates", "rejected", "refunds", "parked", "amount")

OnProgress = Callable[[int, int], None]


def import_file(
    path: Path,
    *,
    profile: Profile = DEFAULT,
    create_members: bool = False,
    shift_days: int = 0,
    amount_factor: Decimal = Decimal(1),
    dry_run: bool = False,
    errors_path: Path | None = None,
    business: Business | None = None,
    started_by: Member | None = None,
    at: datetime | None = None,
    on_progress: OnProgress | None = None,
) -> ImportReport:
    """Record the purchases and refunds of a file; rows that cannot be recorded are reported.

    shift_days   whole days added to every date
    business     rows of another business are refused
    on_progress  told (lines read, lines in all) after every chunk
    dry_run      everything is tried and rolled back at the end; members of the file are locked until then

    Raises FileRefused when the file as a whole is not understood; then nothing is stored but the
    failed job. A row is recorded once however often the file is loaded: an interrupted import is
    completed by running it again.
    """
    close_interrupted_jobs()
    job = ImportJob.objects.create(
        file_name=path.name[:255], profile=profile.name, dry_run=dry_run, business=business,
        started_by=started_by,
    )  # fmt: skip
    with _held(job.pk):
        run = _Import(
            path, job=job, profile=profile, create_members=create_members, shift_days=shift_days,
            amount_factor=amount_factor, errors_path=errors_path, business=business, at=at or timezone.now(),
            on_progress=on_progress,
        )  # fmt: skip
        try:
            run.run()
        except BaseException as error:
            # Where the database itself is gone, the next import closes the job.
            with suppress(DatabaseError):
                _finish(job, ImportJob.Status.FAILED, run.report, error=_sentence(error))
            raise
        _finish(job, ImportJob.Status.DONE, run.report)
        return run.report


def close_interrupted_jobs() -> int:
    """Mark as failed the running jobs whose import is gone (killed, machine stopped); return how many."""
    closed = 0
    for pk in ImportJob.objects.filter(status=ImportJob.Status.RUNNING).values_list("pk", flat=True):
        with atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_lock_key(pk)])
            if cursor.fetchone() == (True,):
                closed += ImportJob.objects.filter(pk=pk, status=ImportJob.Status.RUNNING).update(
                    status=ImportJob.Status.FAILED,
                    error=_("The import was interrupted; run it again."),
                    finished_at=timezone.now(),
                )
    return closed


@contextmanager
def collected_between_chunks() -> Iterator[None]:
    """Keep the garbage collector from looking through a chunk again and again: a third of the time."""
    gc.freeze()
    try:
        with uncollected():
            yield
    finally:
        gc.unfreeze()


class _held:  # noqa: N801  reads as a verb in `with`
    """Hold the job's advisory lock. It ends with the connection, so a killed import shows."""

    def __init__(self, job_id: UUID) -> None:
        self.key = _lock_key(job_id)

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [self.key])

    def __exit__(self, *_details: object) -> None:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [self.key])


def _lock_key(job_id: UUID) -> int:
    # The low bits of a version 7 key are random; 63 of them fit PostgreSQL's bigint.
    return job_id.int & ((1 << 63) - 1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, FileRefused):
        return error.detail
    return _("Stopped: %s") % (str(error) or type(error).__name__)


def _finish(job: ImportJob, status: str, report: ImportReport, *, error: str = "") -> None:
    _count(job, report)
    job.status, job.error, job.finished_at = status, error[:2000], timezone.now()
    job.save()


def _count(job: ImportJob, report: ImportReport) -> None:
    for name in COUNTED:
        setattr(job, name, getattr(report, name))


def _count_more(job: ImportJob, report: ImportReport) -> None:
    """Add to the stored counts; the lanes do it one after the other, whoever comes first."""
    ImportJob.objects.filter(pk=job.pk).update(
        **{name: F(name) + getattr(report, name) for name in COUNTED}, updated_at=timezone.now()
    )


class _Import:
    """One run over one file: what is counted so far and what the chunks share."""

    def __init__(
        self,
        path: Path,
        *,
        job: ImportJob,
        profile: Profile,
        create_members: bool,
        shift_days: int,
        amount_factor: Decimal,
        errors_path: Path | None,
        business: Business | None,
        at: datetime,
        on_progress: OnProgress | None,
    ) -> None:
        self.path, self.job, self.profile = path, job, profile
        self.create_members, self.errors_path, self.business = create_members, errors_path, business
        self.shift, self.amount_factor, self.at = timedelta(days=shift_days), amount_factor, at
        self.on_progress = on_progress
        self.report = ImportReport()
        self.parked: dict[tuple[UUID, str], Decimal] = {}
        self.first_refused: list[Rejection] = []

    def run(self) -> None:
        try:
            lines = verify(self.path, self.profile)
            columns, header = read_header(self.path, self.profile, business_given=bool(self.business))
        except FileRefused as refused:
            if refused.details.get("hint"):
                refused.detail = f"{refused.detail.strip()} {suggestion(self.path, but=self.profile)}."
            raise
        reader = RowReader(
            profile=self.profile, columns=columns, width=len(header), only=self.business, at=self.at,
            businesses={b.code: b for b in Business.objects.filter(is_active=True, is_programme=False)},
            shift=self.shift, amount_factor=self.amount_factor,
        )  # fmt: skip
        errors = ErrorFile(self.errors_path, header)
        try:
            if self.job.dry_run:
                with atomic():
                    self._load(reader, errors, lines)
                    set_rollback(True)
                _store_rejections(self.job, self.first_refused)
            else:
                self._load(reader, errors, lines)
        finally:
            errors.close()

    def _load(self, reader: RowReader, errors: ErrorFile, lines: int) -> None:
        records = read_records(self.path, self.profile)
        for record in records:
            if not record.fault:
                break  # the header, understood already
        with Lanes() as lanes, collected_between_chunks():
            under_way: deque[Started] = deque()
            try:
                while chunk := list(itertools.islice(records, CHUNK_ROWS * lanes.count)):
                    # One chunk is read while the one before it is written.
                    parsed = self._parse(reader, chunk)
                    # A lane that is done with one goes on to the next, unless rows still wait for both.
                    if under_way and under_way[-1].later:
                        self._finish_chunk(under_way.popleft(), errors, lines)
                    under_way.append(self._start_chunk(lanes, chunk, *parsed))
                    if len(under_way) > 1:
                        self._finish_chunk(under_way.popleft(), errors, lines)
            finally:
                while under_way:
                    self._finish_chunk(under_way.popleft(), errors, lines)
        self._settle_parked()

    def _parse(self, reader: RowReader, chunk: list[FileRecord]) -> tuple[list[Row], list[Rejection]]:
        rows: list[Row] = []
        rejections: list[Rejection] = []
        for record in chunk:
            try:
                rows.append(reader.read(record))
            except CellFault as fault:
                rejections.append(rejected(record, fault))
        return rows, rejections

    def _start_chunk(
        self, lanes: Lanes, chunk: list[FileRecord], rows: list[Row], rejections: list[Rejection]
    ) -> Started:
        of_lanes, later = split(rows, lanes.count)
        parts = [(part, rejections if number == 0 else []) for number, part in enumerate(of_lanes)]
        return Started(chunk[-1].line, later, lanes.start(self._record, parts))

    def _finish_chunk(self, started: Started, errors: ErrorFile, lines: int) -> None:
        """Count what the lanes have recorded; what one of them could not record is raised afterwards."""
        rejections: list[Rejection] = []
        failure: BaseException | None = None
        for future in started.parts:
            if failed := future.exception():
                failure = failure or failed
            else:
                rejections += self._count(future.result())
        if failure:
            raise failure
        if started.later:
            rejections += self._count(self._record(started.later, []))
        gc.collect()
        rejections.sort(key=lambda found: found.line)
        errors.write(rejections)
        if self.job.dry_run:
            self.first_refused += rejections[: KEPT_OF_DRY_RUN - len(self.first_refused)]
        if self.on_progress:
            self.on_progress(started.last_line, lines)

    def _record(self, rows: list[Row], rejections: list[Rejection]) -> Chunk:
        """Record rows and what is told of them in one transaction."""
        for attempt in itertools.count(1):
            try:
                with atomic():
                    done = Chunk(rows, create_members=self.create_members, at=self.at)
                    done.rejections += rejections
                    done.report.read = len(rows) + len(rejections)
                    done.report.rejected = len(done.rejections)
                    done.report.by_code.update(found.code for found in done.rejections)
                    _store_rejections(self.job, done.rejections)
                    _count_more(self.job, done.report)
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) not in RETRIED or attempt == TRIES:
                    raise
                time.sleep(0.1 * attempt)
            else:
                return done
        raise AssertionError("the last try returns or raises")

    def _count(self, done: Chunk) -> list[Rejection]:
        self.report.add(done.report)
        room = REMEMBERED_PARKED - len(self.parked)
        self.parked.update(itertools.islice(done.parked.items(), max(room, 0)))
        return done.rejections

    def _settle_parked(self) -> None:
        """Count as refunds those that were parked and met their purchase later in the file."""
        keys = list(self.parked)
        for start in range(0, len(keys), CHUNK_ROWS):
            part = keys[start : start + CHUNK_ROWS]
            still = set(
                ParkedRefund.objects.filter(external_id__in=[receipt for _business, receipt in part])
                .values_list("business_id", "external_id")
            )  # fmt: skip
            for key in part:
                if key not in still:
                    self.report.parked -= 1
                    self.report.refunds += 1
                    self.report.amount -= self.parked[key]


def _store_rejections(job: ImportJob, rejections: list[Rejection]) -> None:
    now = timezone.now()
    rows = []
    for found in rejections:
        row: dict[str, Any] = {"cells": [shown(cell) for cell in found.cells[:20]]}
        if found.stored is not None:
            row["stored"] = found.stored
        text = json.dumps(row, ensure_ascii=False)
        rows.append((uuid7(), now, job.pk, found.line, found.column, found.code, found.reason[:500], text))
    columns = ("id", "created_at", "job_id", "line", "column", "code", "reason", "row")
    insert_rows("import_rejections", columns, rows)
