"""Reports by key: the numbers of seeded rows, of the caller's business alone, as the description says."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.api import examples
from analytics.models import SyncWindow
from analytics.periods import oldest_kept
from analytics.selectors import freshness
from analytics.services.cross_promo import aggregate_cross_promo
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import sync_facts
from loyalty.models import ApiKey, Business
from loyalty.services.api_keys import create_api_key
from loyalty.services.sessions import open_session
from promos.services.sandbox import create_test_key
from tests.analytics.rows import purchase, refund
from tests.analytics.test_reports import NOW, TODAY, assign, buyers, days_ago, watch
from tests.api import Caller, refusal
from tests.factories import BusinessFactory, ChainFactory, MemberFactory, StaffFactory
from tests.svoykrug.api_schema import operations

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

CALLS = ("summary", "rfm", "cohorts", "win-win")
# The key, what the report asks of PostgreSQL, and how fresh it is.
QUERIES = {"summary": 2, "rfm": 4, "cohorts": 2, "win-win": 3}


def key_of(business: Business, *scopes: str) -> Caller:
    scopes = scopes or (ApiKey.Scope.ANALYTICS_READ,)
    return Caller(f"Api-Key {create_api_key(business=business, scopes=scopes)[1]}")


def asked(caller: Caller, call: str, **query: str) -> Any:
    answer = caller.get(f"analytics/{call}", **query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def as_told(at: Any) -> str:
    return timezone.localtime(at).isoformat()


def last_month(months: int) -> Any:
    first = timezone.localtime(NOW).replace(day=1, hour=12, minute=0, second=0, microsecond=0)
    for _ in range(months):
        first = (first - timedelta(days=1)).replace(day=1)
    return first


@pytest.fixture
def two_shops(clickhouse: Any) -> tuple[Business, Business]:
    """Both with fifty buyers and more, and a chain of each to a third; the second's sums are canaries."""
    own, other = BusinessFactory(name="Ours"), BusinessFactory(name="Kanareika")
    buyers(own, 50)
    buyers(other, 51, name="Kanareika", each="987.13")
    assign(ChainFactory(source_business=own), "treatment", 2, 1)
    assign(ChainFactory(source_business=other), "treatment", 3, 1)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)
    aggregate_cross_promo(at=NOW)
    return own, other


# --- Numbers ---------------------------------------------------------------------------------------------


def test_the_summary_adds_up_the_days_asked_for(clickhouse):
    cafe, stranger = BusinessFactory(), BusinessFactory()
    twice, once = MemberFactory(), MemberFactory()
    purchase(twice, cafe, "1000.00", at=days_ago(1))
    returned = purchase(twice, cafe, "600.00", at=days_ago(9))
    refund(returned, "100.00", at=days_ago(8))
    purchase(once, cafe, "500.00", at=days_ago(10))
    purchase(once, cafe, "70.00", at=days_ago(100))
    purchase(once, stranger, "77777.00", at=days_ago(1))
    sync_facts()
    key = key_of(cafe)

    assert asked(key, "summary") == {
        "as_of": as_told(freshness().as_of),
        "from": f"{TODAY - timedelta(days=89)}", "to": f"{TODAY + timedelta(days=1)}",
        "turnover": "2000.00", "purchases": 3, "refunds": 1, "buyers": 2, "repeat_buyers": 1,
        "bonus_accrued": "10.50", "bonus_redeemed": "0.00",
    }  # fmt: skip
    day = {"from": f"{TODAY - timedelta(days=10)}", "to": f"{TODAY - timedelta(days=9)}"}
    assert asked(key, "summary", **day)["turnover"] == "500.00"
    older = asked(key, "summary", **{"from": f"{TODAY - timedelta(days=100)}"})
    assert (older["turnover"], older["purchases"]) == ("2070.00", 4)
    before = asked(key, "summary", to=f"{TODAY - timedelta(days=89)}")
    assert (before["turnover"], before["from"]) == ("70.00", f"{TODAY - timedelta(days=179)}")


def test_rfm_tells_map_segments_and_cuts_of_own_buyers(two_shops):
    own, _other = two_shops

    told = asked(key_of(own), "rfm")

    assert (told["snapshot_date"], told["enough_buyers"], told["members"]) == (f"{TODAY}", True, 52)
    assert sum(cell["members"] for cell in told["cells"]) == 52
    for part in ("cells", "segments"):
        assert sum(Decimal(each["turnover"]) for each in told[part]) == Decimal(told["turnover"])
    by_segment: dict[str, int] = {}
    for cell in told["cells"]:
        by_segment[cell["segment"]] = by_segment.get(cell["segment"], 0) + cell["members"]
    assert {each["segment"]: each["members"] for each in told["segments"]} == by_segment
    assert [len(cut) for cut in told["cuts"].values()] == [4, 4, 4]
    assert told["cuts"]["frequency"] == [1, 2, 2, 3]


def test_rfm_of_few_buyers_has_no_scores(clickhouse):
    own = BusinessFactory()
    buyers(own, 49)
    sync_facts()
    key = key_of(own)
    assert asked(key, "rfm")["snapshot_date"] is None
    calculate_rfm(snapshot_date=TODAY, at=NOW)

    told = asked(key, "rfm")

    assert (told["snapshot_date"], told["enough_buyers"], told["members"]) == (f"{TODAY}", False, 0)
    assert (told["cells"], told["segments"], told["cuts"]) == ([], [], None)


def test_cohorts_follow_newcomers_of_the_months_asked_for(clickhouse):
    cafe = BusinessFactory()
    faithful, once, old = MemberFactory(), MemberFactory(), MemberFactory()
    purchase(faithful, cafe, "100.00", at=last_month(3))
    purchase(faithful, cafe, "10.00", at=last_month(1))
    purchase(once, cafe, "7.00", at=last_month(3))
    purchase(old, cafe, "5.00", at=last_month(13))
    purchase(old, cafe, "5.00", at=last_month(3))
    sync_facts()
    key = key_of(cafe)

    assert asked(key, "cohorts")["cohorts"] == [
        {
            "month": f"{last_month(3).date()}", "members": 2,
            "later": [
                {"months_later": 0, "members": 2, "share": 1.0, "turnover": "107.00"},
                {"months_later": 2, "members": 1, "share": 0.5, "turnover": "10.00"},
            ],
        }
    ]  # fmt: skip
    assert asked(key, "cohorts", months="3")["cohorts"] == []
    assert [each["members"] for each in asked(key, "cohorts", months="18")["cohorts"]] == [1, 2]


def test_win_win_tells_both_sides_the_pair_with_uplift_and_net(clickhouse):
    chain = ChainFactory()
    watch(chain, treated=(200, 60), control=(100, 10))
    assign(chain, "treatment", 1, 0, days=3)
    aggregate_cross_promo(at=NOW)

    answers = [asked(key_of(side), "win-win") for side in (chain.source_business, chain.target_business)]

    assert answers[0] == answers[1]
    [pair] = answers[0]["pairs"]
    assert pair["source"] == {"id": str(chain.source_business_id), "name": chain.source_business.name}
    assert pair["target"] == {"id": str(chain.target_business_id), "name": chain.target_business.name}
    [told] = pair["chains"]
    assert (told["id"], told["still_open"], told["lacking"]) == (str(chain.pk), 1, None)
    assert told["treated"] == {"members": 200, "visits": 60, "revenue": "18000.00"}
    assert told["control"] == {"members": 100, "visits": 10, "revenue": "3000.00"}
    assert (told["discount"], told["covered"]) == ("2700.00", "540.00")
    assert told["uplift"]["visits"]["estimate"] == pytest.approx(0.2)
    assert told["uplift"]["revenue"]["estimate"] == "60.00"
    assert (told["extra_revenue"]["estimate"], told["net"]["estimate"]) == ("12000.00", "9840.00")
    early = asked(key_of(chain.source_business), "win-win", to=f"{TODAY - timedelta(days=60)}")
    assert early["pairs"] == []


def test_a_young_chain_says_what_is_lacking(clickhouse):
    chain = ChainFactory()
    assign(chain, "treatment", 8, 2)
    assign(chain, "control", 3, 1)
    aggregate_cross_promo(at=NOW)

    [pair] = asked(key_of(chain.source_business), "win-win")["pairs"]

    [told] = pair["chains"]
    assert (pair["triggers"], pair["conversions"], pair["rate"], told["lacking"]) == (8, 2, 0.25, "members")
    assert (told["uplift"], told["extra_revenue"], told["net"]) == (None, None, None)


# --- Whose ---------------------------------------------------------------------------------------------


def test_nothing_of_another_business_and_nobody_by_name(two_shops):
    own, other = two_shops
    key = key_of(own)
    # A sum of theirs ends in kopecks that no sum of ours has.
    sums = [f"{Decimal('987.13') * n}" for n in range(1, 110)]

    for call in CALLS:
        text = key.get(f"analytics/{call}").content.decode()
        found = [word for word in ("Kanareika", "Canarova", "+7", str(other.pk), *sums) if word in text]
        assert (call, found) == (call, [])


def test_the_canary_is_seen_by_its_own(two_shops):
    _own, other = two_shops
    key = key_of(other)

    assert asked(key, "summary")["turnover"].endswith(".26")  # 102 purchases
    assert asked(key, "rfm")["members"] == 54
    assert "Kanareika" in str(asked(key, "win-win"))


def test_a_test_key_sees_nothing_real_and_nothing_of_the_sandbox(two_shops):
    own, _other = two_shops
    scopes = [ApiKey.Scope.ANALYTICS_READ]
    _key, secret = create_test_key(business=own, scopes=scopes, label="", at=NOW)
    sync_facts()
    key = Caller(f"Api-Key {secret}")

    totals = asked(key, "summary")
    assert (totals["turnover"], totals["purchases"], totals["buyers"]) == ("0.00", 0, 0)
    rfm = asked(key, "rfm")
    assert (rfm["enough_buyers"], rfm["members"], rfm["turnover"], rfm["cells"]) == (False, 0, "0.00", [])
    assert asked(key, "cohorts")["cohorts"] == asked(key, "win-win")["pairs"] == []


@pytest.mark.parametrize("call", CALLS)
def test_who_may_not_read_analytics_is_refused(db, call):
    business = BusinessFactory()
    others = [scope for scope in ApiKey.Scope if scope != ApiKey.Scope.ANALYTICS_READ]
    owner = StaffFactory(business=business).member

    assert refusal(key_of(business, *others).get(f"analytics/{call}"))[:2] == (403, "permission_denied")
    # A phone code makes a member of an owner, and no staff.
    token = Caller(f"Bearer {open_session(owner, at=timezone.now()).access}")
    assert refusal(token.get(f"analytics/{call}"))[:2] == (403, "permission_denied")
    assert refusal(Caller().get(f"analytics/{call}"))[:2] == (401, "not_authenticated")


# --- What may be asked ---------------------------------------------------------------------------------


def oldest() -> Any:
    return timezone.localdate(oldest_kept(timezone.now())) + timedelta(days=1)


@pytest.mark.parametrize("call", ["summary", "win-win"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": ""}, "from"),
        ({"to": "2026-11-01T00:00:00Z"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "0001-01-01"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "9999-12-31"}, "from"),
        ({"since": "2026-01-01"}, "since"),
        ({"business": "0198f2f0-0000-7000-8000-000000000000"}, "business"),
        ({"from": lambda: oldest() - timedelta(days=1)}, "from"),
        ({"to": lambda: oldest()}, "to"),
        ({"to": lambda: TODAY + timedelta(days=2)}, "to"),
        ({"from": lambda: TODAY, "to": lambda: TODAY}, "from"),
    ],
)
def test_days_that_are_none_or_not_kept_are_refused_at_their_field(db, call, query, field):
    given = {name: str(value() if callable(value) else value) for name, value in query.items()}

    status, code, errors = refusal(key_of(BusinessFactory()).get(f"analytics/{call}", **given))

    assert (status, code, [name for name, _code in errors]) == (400, "invalid", [field])


@pytest.mark.parametrize("months", ["0", "19", "-1", "1.5", "x", "", "9" * 500])
def test_odd_months_are_refused(db, months):
    answer = key_of(BusinessFactory()).get("analytics/cohorts", months=months)

    assert refusal(answer)[2][0][0] == "months"


def test_the_oldest_day_kept_and_today_may_be_asked_for(clickhouse):
    whole = {"from": f"{oldest()}", "to": f"{TODAY + timedelta(days=1)}"}
    for call in ("summary", "win-win"):
        told = asked(key_of(BusinessFactory()), call, **whole)
        assert {name: told[name] for name in whole} == whole


@pytest.mark.parametrize("call", ["summary", "cohorts", "win-win"])
def test_clickhouse_away_is_a_problem_that_names_no_server(db, settings, call):
    settings.CLICKHOUSE_URL = "clickhouse://nobody:secret@127.0.0.1:1/none"

    answer = key_of(BusinessFactory()).get(f"analytics/{call}")

    assert refusal(answer) == (503, "analytics_unavailable", [])
    assert answer["Retry-After"] == "30"
    assert "127.0.0.1" not in answer.content.decode()


def test_clickhouse_away_after_the_first_snapshot_stops_rfm_too(clickhouse, settings):
    calculate_rfm(snapshot_date=TODAY, at=NOW)
    settings.CLICKHOUSE_URL = "clickhouse://nobody:secret@127.0.0.1:1/none"

    answer = key_of(BusinessFactory()).get("analytics/rfm")

    assert (refusal(answer)[:2], answer["Retry-After"]) == ((503, "analytics_unavailable"), "30")


def test_the_number_of_queries_does_not_grow(two_shops):
    own, _other = two_shops
    key = key_of(own)
    asked(key, "summary")

    def queries(call: str) -> int:
        with CaptureQueriesContext(connection) as found:
            asked(key, call)
        return len(found)

    assert {call: queries(call) for call in CALLS} == QUERIES
    for _ in range(2):
        assign(ChainFactory(source_business=own), "treatment", 1, 1, days=70)
    sync_facts()
    aggregate_cross_promo(at=NOW)
    assert len(asked(key, "win-win")["pairs"]) == 3
    assert {call: queries(call) for call in CALLS} == QUERIES


def test_before_the_first_sync_nothing_is_known_to_be_counted(clickhouse):
    SyncWindow.objects.all().delete()

    assert asked(key_of(BusinessFactory()), "summary")["as_of"] is None


# --- The description -----------------------------------------------------------------------------------


def described(call: str) -> Any:
    return next(each for each in operations() if str(each) == f"GET /api/v1/analytics/{call}")


def names(value: Any) -> Any:
    """Return the fields of an answer, whatever their values; of a list, those of its first."""
    if isinstance(value, dict):
        return {name: names(inner) for name, inner in value.items()}
    return [names(value[0])] if isinstance(value, list) and value and isinstance(value[0], dict) else None


def test_answers_are_as_described_and_like_their_examples(two_shops):
    own, _other = two_shops
    watch(chain := ChainFactory(source_business=own), treated=(200, 60), control=(100, 10))
    aggregate_cross_promo(at=NOW)
    key = key_of(own)

    for call in CALLS:
        answer = key.get(f"analytics/{call}")
        assert described(call).wrong(answer) is None, call
        told = answer.json()
        if call == "win-win":  # The chain of which enough is known, first.
            told["pairs"].sort(key=lambda pair: pair["chains"][0]["id"] != str(chain.pk))
        assert names(getattr(examples, call.replace("-", "_").upper())) == names(told)


@pytest.mark.parametrize("call", CALLS)
def test_every_parameter_described_is_read(db, call):
    key = key_of(BusinessFactory())

    for parameter in described(call).parameters:
        if parameter["in"] == "query":
            answer = key.get(f"analytics/{call}", **{parameter["name"]: "x"})
            assert (answer.status_code, described(call).wrong(answer)) == (400, None)
