"""Members' calls: what is their own."""

from dataclasses import fields
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.api.authentication import ApiKeyAuthentication, IsMember, MemberTokenAuthentication
from loyalty.api.base import ApiView
from loyalty.api.serializers import (
    BalanceOut,
    CodeOut,
    ConsentsIn,
    ConsentsOut,
    EntryOut,
    ListQuery,
    MeIn,
    MeOut,
    MyTierOut,
    MyTransactionOut,
    MyTransactionsQuery,
    ReferralOut,
    as_choice,
)
from loyalty.consent_texts import consent_text
from loyalty.errors import ConsentNotWithdrawn
from loyalty.invitations import invitations, reward_terms
from loyalty.models import BonusEntry, Business, Consent, Transaction
from loyalty.selectors import tier_history, tier_progress, wallet
from loyalty.services.consents import (
    CHANNELS,
    PROCESSING,
    advertising,
    allows,
    decide,
    decisions,
    handover,
)
from loyalty.services.presence import issue_code
from loyalty.services.profile import change_profile
from svoykrug.middleware import client_address
from svoykrug.pagination import NewestFirst
from svoykrug.schema import describe
from svoykrug.serializers import represented, validated

MEMBER = [{"MemberToken": []}]
# `from` is inclusive, `to` is not, so neighbouring periods share no row.
PERIOD_AND_KIND = {"kind": "kind", "from": "created_at__gte", "to": "created_at__lt"}


class MemberView(ApiView):
    # A business's key is recognised too, so that it is refused as such: 403 and not 401.
    authentication_classes = (MemberTokenAuthentication, ApiKeyAuthentication)
    permission_classes = (IsMember,)


class MeView(MemberView):
    @describe(
        operation_id="me",
        summary="The member's own data",
        answers={200: MeOut},
        problems=(401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        return Response(represented(MeOut, request.user))

    @describe(
        operation_id="change_me",
        summary="Change the member's own data",
        description="What is left out stays. The phone is changed by the programme's staff.",
        request=MeIn,
        example={"first_name": "Анна", "birth_date": "1990-02-28", "language": "ru"},
        answers={200: MeOut},
        problems=(400, 401, 403),
        auth=MEMBER,
    )
    def patch(self, request: Request) -> Response:
        change_profile(request.user, **validated(MeIn, request.data))
        return Response(MeOut(request.user).data)


class BalanceView(MemberView):
    @describe(
        operation_id="my_balance",
        summary="Bonuses now",
        answers={200: BalanceOut},
        problems=(401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        return Response(represented(BalanceOut, wallet(request.user.pk, at=timezone.now())))


class TierView(MemberView):
    @describe(
        operation_id="my_tier",
        summary="The member's tier: what is needed to stay and to rise, and its history",
        answers={200: MyTierOut},
        problems=(401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        progress = tier_progress(request.user, at=timezone.now())
        history = tier_history(request.user.pk, progress.tiers)
        return Response(MyTierOut({**_values(progress), "history": history}).data)


class ReferralView(MemberView):
    @describe(
        operation_id="my_referral",
        summary="The member's invitation code and link, and what they brought",
        answers={200: ReferralOut},
        problems=(401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        brought = invitations(request.user, at=timezone.now())
        link = request.build_absolute_uri(reverse("member-join", args=[brought.code]))
        return Response(ReferralOut({**_values(brought), **_values(reward_terms()), "link": link}).data)


def _values(row: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as they are; `asdict` would copy the models within."""
    return {field.name: getattr(row, field.name) for field in fields(row)}


class ConsentsView(MemberView):
    @describe(
        operation_id="my_consents",
        summary="What the member consents to, and the texts in force",
        answers={200: ConsentsOut},
        problems=(401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        return Response(ConsentsOut(_consents(request)).data)

    @describe(
        operation_id="decide_consents",
        summary="Give or withdraw consents",
        description="Acts at once. Withdrawing a channel for the circle withdraws it for each partner "
        "allowed apart. Consent to processing ends with membership: `409 consent_needed_by_membership`.",
        request=ConsentsIn,
        example={"advertising": {"inapp": True, "sms": False}},
        answers={200: ConsentsOut},
        problems=(400, 401, 403),
        refuses=(ConsentNotWithdrawn,),
        auth=MEMBER,
    )
    def put(self, request: Request) -> Response:
        asked = ConsentsIn(data=request.data)
        asked.is_valid(raise_exception=True)
        decide(
            as_choice(asked.validated_data),
            member_id=request.user.pk,
            language=get_language() or "en",
            ip=client_address(request),
            at=timezone.now(),
        )
        return Response(ConsentsOut(_consents(request)).data)


def _consents(request: Request) -> dict[str, Any]:
    said = {subject: row.granted for subject, row in decisions(request.user.pk).items()}
    spoken_of = Business.objects.filter(pk__in={subject.partner_id for subject in said} - {None})
    language = get_language() or "en"
    return {
        "processing": allows(said, PROCESSING),
        "advertising": {channel: allows(said, advertising(channel)) for channel in CHANNELS},
        "partners": [
            {
                "partner": partner.code,
                "name": partner.name,
                "advertising": {c: allows(said, advertising(c, partner.pk)) for c in CHANNELS},
                "handover": allows(said, handover(partner.pk)),
            }
            for partner in spoken_of.order_by("name")
        ],
        "texts": [
            {
                "purpose": purpose,
                "version": text.version,
                "url": request.build_absolute_uri(
                    reverse("consent-text", args=[text.version, purpose, text.language])
                ),
            }
            for purpose in Consent.Purpose.values
            for text in [consent_text(purpose, language)]
        ],
    }


class CodeView(MemberView):
    @describe(
        operation_id="my_code",
        summary="The code to show at a till",
        description="Lives 60 seconds, works for one purchase. The same until too little of it is left.",
        answers={200: CodeOut},
        problems=(401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        at = timezone.now()
        shown = issue_code(request.user.pk, at=at)
        answer = {
            "code": shown.code,
            "expires_at": shown.expires_at,
            "seconds_left": shown.seconds_left(at),
            "qr": shown.qr,
        }
        return Response(CodeOut(answer).data, headers={"Cache-Control": "no-store"})


class EntriesView(MemberView):
    pagination_class = NewestFirst
    queryset = BonusEntry.objects.none()

    @describe(
        operation_id="my_entries",
        summary="Every change of the member's bonuses, newest first",
        parameters=[ListQuery],
        answers={200: EntryOut(many=True)},
        problems=(400, 401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        ListQuery(data=request.query_params.dict()).is_valid(raise_exception=True)
        entries = BonusEntry.objects.filter(member_id=request.user.pk).select_related(
            "lot__issuer", "honoured_by"
        )
        page = self.paginate_queryset(entries)
        return self.get_paginated_response(EntryOut(page, many=True).data)


class MyTransactionsView(MemberView):
    pagination_class = NewestFirst
    queryset = Transaction.objects.none()

    @describe(
        operation_id="my_transactions",
        summary="The member's purchases and refunds, newest first",
        parameters=[MyTransactionsQuery],
        answers={200: MyTransactionOut(many=True)},
        problems=(400, 401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        asked = validated(MyTransactionsQuery, request.query_params.dict())
        conditions = {lookup: asked[name] for name, lookup in PERIOD_AND_KIND.items() if name in asked}
        own = Transaction.objects.filter(member_id=request.user.pk, **conditions).select_related("business")
        page = self.paginate_queryset(own)
        return self.get_paginated_response(MyTransactionOut(page, many=True).data)
