"""The reports of the admin: numbers equal to the seeded rows, and nothing of other people's."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation

from analytics.models import SyncWindow
from analytics.selectors import Step, rfm_cuts, turnover_by
from analytics.services.cross_promo import aggregate_cross_promo
from analytics.services.rfm import calculate_rfm
from analytics.services.sync import sync_facts
from loyalty.models import Business, ImportJob, Member, StaffMembership, Transaction
from promos.models import ChainAssignment, ChainCostShare, Coupon, CrossPromoChain
from promos.segments import Segment
from tests.analytics.rows import cost_share, purchase, refund
from tests.factories import BusinessFactory, ChainFactory, CouponFactory, MemberFactory, StaffFactory

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)

NOW = timezone.now()
TODAY = timezone.localdate(NOW)
RFM, WIN_WIN, DASHBOARD = (
    reverse("admin:reports_rfm"),
    reverse("admin:reports_win_win"),
    reverse("admin:index"),
)
SPACE = "\u202f"


def days_ago(days: int) -> Any:
    """Noon in the programme's zone."""
    noon = timezone.localtime(NOW).replace(hour=12, minute=0, second=0, microsecond=0)
    return noon - timedelta(days=days)


@pytest.fixture(autouse=True)
def english(client):
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    with translation.override("en"):
        yield


def sign_in(client: Any, business: Business, role: str = StaffMembership.Role.OWNER) -> Member:
    staff = StaffFactory(business=business, role=role).member
    client.force_login(staff)
    return staff


@pytest.fixture
def programme(client, transactional_db) -> Member:
    business = Business.objects.filter(is_programme=True).first() or BusinessFactory(
        is_programme=True, code="KRUG"
    )
    return sign_in(client, business)


def figures(response: Any) -> dict[str, str]:
    return {figure.label: figure.value for figure in response.context["figures"]}


def test_the_dashboard_tells_the_period_next_to_the_one_before(clickhouse, client):
    cafe, stranger = BusinessFactory(), BusinessFactory()
    sign_in(client, cafe)
    twice, once = MemberFactory(), MemberFactory()
    purchase(twice, cafe, "1000.00", at=days_ago(1))
    returned = purchase(twice, cafe, "600.00", at=days_ago(9))
    refund(returned, "100.00", at=days_ago(8))
    purchase(once, cafe, "500.00", at=days_ago(17))
    purchase(once, cafe, "1000.00", at=days_ago(31))
    purchase(once, stranger, "77777.00", at=days_ago(1))
    CouponFactory(business=cafe, status=Coupon.Status.REDEEMED)
    CouponFactory(business=cafe)
    CouponFactory(business=stranger)
    sync_facts()

    response = client.get(DASHBOARD, {"days": "30"})

    assert figures(response) == {
        "Turnover, net of refunds": f"2{SPACE}000{SPACE}₽",
        "Purchases": "3",
        "Buyers": "2",
        "Came back at least once": "50%",
        "Bonuses given": "10",
    }
    assert response.context["figures"][0].change == "+100%"
    assert response.context["chart_title"] == "Turnover grew by 100% against the 30 days before"
    assert response.context["coupons"].value == "2 → 1"
    assert response.context["chart"].is_worth_drawing
    assert "77" + SPACE + "777" not in response.content.decode()


def test_turnover_is_summed_by_local_days_weeks_and_months(clickhouse):
    cafe, member = BusinessFactory(), MemberFactory()
    day = (TODAY - timedelta(days=40)).replace(day=10)
    monday, month = day - timedelta(days=day.weekday()), day.replace(day=1)
    at = timezone.make_aware(timezone.datetime.combine(day, timezone.datetime.min.time()))
    purchase(member, cafe, "100.00", at=at)
    purchase(member, cafe, "50.00", at=at + timedelta(hours=23, minutes=59))
    purchase(member, BusinessFactory(), "7.00", at=at)
    sync_facts()

    span = {"start": day, "end": day + timedelta(days=1)}
    assert turnover_by(Step.DAY, [cafe.pk], **span) == {day: Decimal("150.00")}
    assert turnover_by(Step.WEEK, [cafe.pk], **span) == {monday: Decimal("150.00")}
    assert turnover_by(Step.MONTH, None, **span) == {month: Decimal("157.00")}
    assert turnover_by(Step.DAY, [], **span) == {}


def buyers(business: Business, number: int, *, name: str = "Анна", each: str = "100.00") -> list[Member]:
    members = [MemberFactory(first_name=name, last_name="Canarova") for _ in range(number)]
    for place, member in enumerate(members):
        for _ in range(1 + place % 3):
            purchase(member, business, each, at=days_ago(2 + place))
    return members


def test_the_map_and_the_list_hold_the_snapshot(clickhouse, client, programme):
    business = BusinessFactory()
    members = buyers(business, 60)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)

    response = client.get(RFM)

    grid = [cell.members for row in response.context["grid"] for cell in row["cells"]]
    assert (len(grid), sum(grid)) == (25, 60)
    page = response.context["page"]
    assert (page.total, len(response.context["lines"]), response.context["pages"]) == (60, 50, 2)
    assert {line.contact for line in response.context["lines"]} < {
        f"{m.phone[:2]} {m.phone[2:5]} {m.phone[5:8]}-{m.phone[8:10]}-{m.phone[10:]}" for m in members
    }
    assert response.context["cuts"].recency_days == (50, 38, 26, 14)
    segment = Segment.CHAMPIONS
    chosen = client.get(RFM, {"segment": segment.value})
    expected = sum(
        c.members for row in response.context["grid"] for c in row["cells"] if c.segment == segment
    )
    assert chosen.context["page"].total == expected
    assert {line.segment for line in chosen.context["lines"]} == {segment}


@pytest.mark.parametrize("by", ["card", "phone"])
def test_the_programme_finds_a_members_segment_by_card_or_phone(clickhouse, client, programme, by):
    members = buyers(BusinessFactory(), 6)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)
    latest = members[0]

    response = client.get(RFM, {"q": latest.card_number if by == "card" else latest.phone})

    line = response.context["found"]["line"]
    assert (line.name, line.row.recency_days, line.row.r_score) == ("Анна Canarova", 2, 5)
    assert client.get(RFM, {"q": "no-such-card"}).context["found"] == {"member": None}


def test_an_owner_sees_own_customers_masked_and_nobody_elses(clickhouse, client):
    own, other = BusinessFactory(), BusinessFactory()
    mine = buyers(own, 50)
    buyers(other, 51, name="Kanareika", each="987.00")
    sign_in(client, own)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)

    response = client.get(RFM)

    text = response.content.decode()
    assert response.context["picture"].members == 50
    assert len(response.context["lines"]) == 50
    assert "Kanareika" not in text
    assert "Canarova" not in text
    assert mine[0].phone not in text.replace(" ", "").replace("-", "")
    assert mine[0].masked_phone in text
    assert rfm_cuts([own.pk]) == response.context["cuts"]
    # A search is the programme's alone: an owner could otherwise ask about anybody.
    assert "found" not in client.get(RFM, {"q": mine[0].card_number}).context


def test_an_owner_of_few_buyers_is_told_kindly(clickhouse, client):
    own = BusinessFactory()
    buyers(own, 49)
    sign_in(client, own)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)

    assert "With fewer than 50 buyers" in client.get(RFM).content.decode()


def test_before_the_first_snapshot_the_page_names_the_hour(clickhouse, client, programme):
    assert "tonight at 02:00" in client.get(RFM).content.decode()


@pytest.mark.parametrize("page", ["0", "-1", "99999", "9" * 30, "²", "x"])
def test_an_odd_page_number_is_no_error(clickhouse, client, programme, page):
    buyers(BusinessFactory(), 6)
    sync_facts()
    calculate_rfm(snapshot_date=TODAY, at=NOW)

    assert client.get(RFM, {"page": page, "segment": "' OR 1=1"}).status_code == 200


def assign(chain: CrossPromoChain, arm: str, number: int, came: int, *, days: int = 40) -> None:
    for place in range(number):
        member = MemberFactory()
        trigger = purchase(member, chain.source_business, "1000.00", at=days_ago(days))
        visit = None
        if place < came:
            visit = purchase(member, chain.target_business, "300.00", at=days_ago(days - 1))
        treated = arm == "treatment"
        coupon = (
            CouponFactory(member=member, business=chain.target_business, chain=chain) if treated else None
        )
        ChainAssignment.objects.create(
            chain=chain, member=member, trigger=trigger, arm=arm, created_at=days_ago(days),
            coupon=coupon, converted=visit if treated else None,
        )  # fmt: skip


def watch(chain: CrossPromoChain, *, treated: tuple[int, int], control: tuple[int, int]) -> None:
    """Members and visits of both arms, in bulk; whoever came spent 300 ₽, with a coupon of 45 ₽."""
    arms = ["treatment"] * treated[0] + ["control"] * control[0]
    came = [place < treated[1] for place in range(treated[0])]
    came += [place < control[1] for place in range(control[0])]
    members = Member.objects.bulk_create(MemberFactory.build() for _ in arms)
    at = days_ago(40)

    def bought(business: Business, **extra: Any) -> Transaction:
        return Transaction(business=business, source="till", category="чай", **extra)

    triggers = Transaction.objects.bulk_create(
        bought(chain.source_business, member=member, amount=Decimal(900), created_at=at) for member in members
    )
    coupons = [
        CouponFactory.build(member=member, business=chain.target_business, chain=chain) if arm == "treatment"
        else None
        for member, arm in zip(members, arms, strict=True)
    ]  # fmt: skip
    Coupon.objects.bulk_create(coupon for coupon in coupons if coupon)
    visits = Transaction.objects.bulk_create(
        bought(
            chain.target_business, member=member, amount=Decimal(300), coupon=coupon,
            coupon_discount=Decimal(45 if coupon else 0), created_at=at + timedelta(days=2),
        )
        for member, coupon, there in zip(members, coupons, came, strict=True) if there
    )  # fmt: skip
    ChainCostShare.objects.bulk_create(
        cost_share(chain, visit, discount="45.00", owed="9.00", at=at) for visit in visits if visit.coupon
    )
    ChainAssignment.objects.bulk_create(
        ChainAssignment(chain=chain, member=m, trigger=t, arm=arm, coupon=c, created_at=at)
        for m, t, arm, c in zip(members, triggers, arms, coupons, strict=True)
    )


def pair_address(chain: CrossPromoChain) -> str:
    return reverse("admin:reports_win_win_pair", args=[chain.source_business_id, chain.target_business_id])


def test_a_cell_and_its_page_tell_the_counted_visits(clickhouse, client, programme):
    chain = ChainFactory()
    assign(chain, "treatment", 8, 2)
    assign(chain, "control", 3, 1)
    aggregate_cross_promo(at=NOW)

    matrix = client.get(WIN_WIN).context["matrix"]
    [row] = matrix["rows"]
    [cell] = row["cells"]
    assert (cell["cell"].triggers, cell["cell"].conversions, cell["rate"], row["total"]) == (8, 2, "25%", 2)

    assert cell["verdict"] == "Not enough data yet: 3 of 100 members without a coupon."

    [report] = client.get(pair_address(chain)).context["reports"]
    assert report.arms == "Of 8 with a coupon 2 came, without one, 1 of 3."
    assert report.finding == "Not enough data yet: 3 of 100 members without a coupon."
    assert (report.visits, report.revenue, report.net) == (None, None, None)
    assert report.outcome.treated.revenue_rub == Decimal("600.00")
    assert (report.chain.pk, report.chain.triggers, report.chain.conversions) == (chain.pk, 8, 2)


def test_a_report_tells_the_uplift_its_interval_and_what_is_left(clickhouse, client, programme):
    chain = ChainFactory()
    watch(chain, treated=(200, 60), control=(100, 10))
    assign(chain, "skipped", 3, 0)
    unwilling = chain.assignments.filter(arm="skipped").latest("pk")
    chain.assignments.filter(arm="skipped").update(reason=ChainAssignment.Reason.ALREADY_CUSTOMER)
    chain.assignments.filter(pk=unwilling.pk).update(reason=ChainAssignment.Reason.NO_CONSENT)
    assign(chain, "treatment", 1, 0, days=3)
    aggregate_cross_promo(at=NOW)

    response = client.get(pair_address(chain))

    [report] = response.context["reports"]
    assert report.arms == "Of 100 who got the coupon 30 came; of 100 who got none 10 came."
    # Newcombe by hand: 0.20 - sqrt(0.0592² + 0.0744²), 0.20 + sqrt(0.0669² + 0.0448²).
    assert report.finding == "The coupon brought between 10 and 28 more visits per 100 members."
    assert (report.visits.value, report.visits.between) == ("+20", "(10…28)")
    # 90 ₽ a member against 30 ₽, of 200 members; 60 coupons of 45 ₽, of which the source pays a fifth.
    assert report.revenue.value == f"+12{SPACE}000{SPACE}₽"
    assert (report.outcome.discount_rub, report.outcome.covered_rub) == (Decimal(2700), Decimal(540))
    assert report.net.value == f"+9{SPACE}840{SPACE}₽"
    assert report.still_open == ("1 member more is not counted yet: 30 days after the purchase are not over.")
    assert report.left_out == (
        "Purchases that drew no lot: already a customer of the target — 2;"
        " no consent to advertising of the target — 1."
    )
    page = response.content.decode()
    assert report.left_out in page
    assert page.count('<svg viewBox="0 0 100 24"') == 2
    assert "style=" not in page[page.index('class="reports"') : page.rindex("</section>")]

    [row] = client.get(WIN_WIN).context["matrix"]["rows"]
    assert (row["cells"][0]["gain"], row["cells"][0]["net"]) == ("+20 (10…28)", f"+9{SPACE}840{SPACE}₽")


def test_only_a_demo_says_that_it_is_simulated(clickhouse, client, programme):
    chain = ChainFactory()
    words = "simulated by a program"
    for address in (WIN_WIN, pair_address(chain), DASHBOARD):
        assert words not in client.get(address).content.decode()

    ImportJob.objects.create(file_name="purchases-uci-small.csv")

    for address in (WIN_WIN, pair_address(chain), DASHBOARD):
        assert words in client.get(address).content.decode()


def test_an_owner_meets_only_pairs_of_the_own_business(clickhouse, client):
    mine = ChainFactory(source_business__name="Mine")
    foreign = ChainFactory(source_business__name="Canary", target_business__name="Goldfinch")
    half = ChainFactory(source_business=foreign.target_business, target_business=mine.source_business)
    for chain in (mine, foreign, half):
        assign(chain, "treatment", 2, 1)
    aggregate_cross_promo(at=NOW)
    sign_in(client, mine.source_business)

    response = client.get(WIN_WIN)

    assert response.context["conversions"] == 2
    assert "Canary" not in response.content.decode()
    assert "Canary" not in client.get(DASHBOARD).content.decode()
    assert client.get(pair_address(foreign)).status_code == 404
    assert client.get(pair_address(mine)).status_code == 200
    assert client.get(pair_address(half)).status_code == 200


def test_a_draft_is_hidden_from_the_neighbour_it_is_meant_for(clickhouse, client):
    draft = ChainFactory(status=CrossPromoChain.Status.DRAFT)
    sign_in(client, draft.target_business)

    assert client.get(pair_address(draft)).status_code == 404


@pytest.mark.parametrize("address", [RFM, WIN_WIN])
def test_a_cashier_is_refused(client, address):
    sign_in(client, BusinessFactory(), StaffMembership.Role.CASHIER)

    assert client.get(address).status_code == 403


def test_a_cashiers_first_page_has_no_numbers(client):
    sign_in(client, BusinessFactory(), StaffMembership.Role.CASHIER)

    response = client.get(DASHBOARD)

    assert (response.status_code, "figures" in response.context) == (200, False)


def test_a_member_of_no_staff_is_sent_to_sign_in(client):
    client.force_login(MemberFactory())

    assert client.get(RFM).status_code == 302


def test_pages_say_kindly_that_clickhouse_is_away(client, programme, settings):
    chain = ChainFactory()
    settings.CLICKHOUSE_URL = "clickhouse://nobody:secret@127.0.0.1:1/none"

    for address in (WIN_WIN, pair_address(chain)):
        response = client.get(address)
        assert response.status_code == 503
        assert "nothing is lost" in response.content.decode()
        assert "127.0.0.1" not in response.content.decode()
    first = client.get(DASHBOARD)
    assert (first.status_code, first.context["analytics_down"]) == (200, True)
    assert [each.pk for each in first.context["chains"]] == [chain.pk]


@pytest.mark.parametrize("number", [1, 3])
def test_queries_do_not_grow_with_rows(clickhouse, client, programme, django_assert_num_queries, number):
    for _ in range(number):
        assign(ChainFactory(), "treatment", 2, 1)
    sync_facts()
    aggregate_cross_promo(at=NOW)
    calculate_rfm(snapshot_date=TODAY, at=NOW)
    for address, queries in ((DASHBOARD, 8), (RFM, 8), (WIN_WIN, 6)):
        with django_assert_num_queries(queries):
            client.get(address)


def test_only_the_programme_reads_the_pipelines_record(client, programme):
    SyncWindow.objects.create(table="transaction_facts", from_xid=1, to_xid=2, system_identifier="7")
    lists = [reverse(f"admin:analytics_{name}_changelist") for name in ("syncwindow", "rfmrun")]

    assert [client.get(each).status_code for each in lists] == [200, 200]
    assert client.get(reverse("admin:analytics_syncwindow_add")).status_code == 403
    sign_in(client, BusinessFactory())
    assert [client.get(each).status_code for each in lists] == [403, 403]
