"""How a caller gets in and out: codes, passwords, tokens and devices."""

from uuid import UUID

from django.conf import settings
from django.http import Http404
from django.utils import timezone
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from loyalty.api.base import OpenView
from loyalty.api.serializers import (
    DeviceOut,
    ListQuery,
    OtpIn,
    OtpOut,
    RefreshIn,
    SignedInOut,
    TokenIn,
    TokensOut,
    as_choice,
)
from loyalty.api.views import MEMBER, MemberView
from loyalty.errors import ConsentRequired
from loyalty.models import Session
from loyalty.services.otp import request_code, verify_code
from loyalty.services.sessions import (
    close_session,
    devices,
    end_session,
    family_of,
    open_session,
    refresh_session,
)
from loyalty.services.staff_sign_in import verify_staff
from svoykrug.middleware import client_address
from svoykrug.pagination import NewestFirst
from svoykrug.schema import describe


class OtpView(OpenView):
    @describe(
        operation_id="request_code",
        summary="Send a sign-in code to a phone",
        description="The answer is the same whether or not the phone is known.",
        request=OtpIn,
        example={"phone": "+79000000010"},
        answers={202: OtpOut},
        problems=(400,),
    )
    def post(self, request: Request) -> Response:
        asked = OtpIn(data=request.data)
        asked.is_valid(raise_exception=True)
        request_code(asked.validated_data["phone"], ip=client_address(request), at=timezone.now())
        answer = {"expires_in": settings.OTP_LIFETIME_SECONDS}
        return Response(answer, status=status.HTTP_202_ACCEPTED)


class TokenView(OpenView):
    @describe(
        operation_id="sign_in",
        summary="Exchange the code for tokens; an unknown phone joins",
        description="An unknown phone that did not agree to processing is answered `consent_required`: show "
        "the texts and send the same code again, it goes on working for 15 minutes.\n\n"
        "Staff add their `password`, and `code` is that of their authenticator.",
        request=TokenIn,
        example={"phone": "+79000000010", "code": "123456", "consents": {"processing": True}},
        answers={200: SignedInOut},
        problems=(400, 401),
        refuses=(ConsentRequired,),
    )
    def post(self, request: Request) -> Response:
        asked = TokenIn(data=request.data)
        asked.is_valid(raise_exception=True)
        at, ip, said = timezone.now(), client_address(request), dict(asked.validated_data)
        as_staff = "password" in said
        if as_staff:
            member, is_new = verify_staff(**said, ip=ip, at=at), False
        else:
            consents = as_choice(said.pop("consents", {}))
            member, is_new = verify_code(**said, consents=consents, ip=ip, at=at)
        tokens = open_session(member, as_staff=as_staff, at=at, ip=ip, user_agent=user_agent(request))
        return Response(
            SignedInOut({"access": tokens.access, "refresh": tokens.refresh, "is_new": is_new}).data
        )


class RefreshView(OpenView):
    @describe(
        operation_id="refresh",
        summary="Exchange the refresh token for new tokens",
        description="A refresh token works once: one that is used again ends the session of its device. "
        "Within 10 seconds, should the answer have been lost, a repeat gets the same new token.",
        request=RefreshIn,
        example={"refresh": "gL3mY0m1H1b2o3c4d5e6f7g8h9i0jKlMnOpQrStUvWx"},
        answers={200: TokensOut},
        problems=(400, 401),
    )
    def post(self, request: Request) -> Response:
        asked = RefreshIn(data=request.data)
        asked.is_valid(raise_exception=True)
        tokens = refresh_session(
            asked.validated_data["refresh"],
            at=timezone.now(),
            ip=client_address(request),
            user_agent=user_agent(request),
        )
        return Response(TokensOut(tokens).data)


class LogoutView(OpenView):
    @describe(
        operation_id="sign_out",
        summary="End the session of this device",
        description="Works at once, also for access tokens already given; may be repeated.",
        request=RefreshIn,
        example={"refresh": "gL3mY0m1H1b2o3c4d5e6f7g8h9i0jKlMnOpQrStUvWx"},
        answers={204: None},
        problems=(400,),
    )
    def post(self, request: Request) -> Response:
        asked = RefreshIn(data=request.data)
        asked.is_valid(raise_exception=True)
        close_session(asked.validated_data["refresh"], at=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class DevicesView(MemberView):
    pagination_class = NewestFirst
    queryset = Session.objects.none()

    @describe(
        operation_id="my_devices",
        summary="The devices that the member is signed in on",
        parameters=[ListQuery],
        answers={200: DeviceOut(many=True)},
        problems=(400, 401, 403),
        auth=MEMBER,
    )
    def get(self, request: Request) -> Response:
        ListQuery(data=request.query_params.dict()).is_valid(raise_exception=True)
        page = self.paginate_queryset(devices(request.user.pk, at=timezone.now()))
        shown = DeviceOut(page, many=True, context={"family": family_of(request.auth)})
        return self.get_paginated_response(shown.data)


class DeviceView(MemberView):
    @describe(
        operation_id="sign_device_out",
        summary="Sign a device out",
        description="Works at once, also for access tokens already given.",
        answers={204: None},
        problems=(401, 403, 404),
        auth=MEMBER,
    )
    def delete(self, request: Request, device_id: UUID) -> Response:
        if not end_session(request.user.pk, device_id, at=timezone.now()):
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)


def user_agent(request: Request) -> str:
    return request.headers.get("User-Agent", "").replace("\x00", "")
