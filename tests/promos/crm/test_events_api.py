"""`POST crm/{id}/events`: who is let in, what is kept, what is answered."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.utils import timezone

from loyalty.models import CrmIntegration, CrmMessage, Transaction
from promos.crm import integrations
from promos.crm.integrations import change_secret, refused_lately
from promos.tasks import apply_crm_message
from tests.api import refusal
from tests.factories import BusinessFactory, MemberFactory
from tests.promos.crm.messages import connect, encoded, sale, send, simple, standard, tell

# Transactions of their own: a message is committed before anything else happens.
pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]
ABSENT = "0198f2f0-0000-7000-8000-000000000000"
BODY = encoded(sale())


@pytest.fixture
def queued(monkeypatch):
    """Keep what would be handed to a worker."""
    asked = []
    monkeypatch.setattr(apply_crm_message, "delay", asked.append)
    return asked


@pytest.mark.parametrize("sign", [standard, simple])
def test_a_signed_message_is_kept_as_it_came_and_handed_on(business, queued, sign):
    integration, secret = connect(business)
    body = b'\xef\xbb\xbf {"any": "thing",  "\xd1\x8f": 1.10}\r\n'

    answer = send(integration, body, sign(secret, body))

    message = CrmMessage.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"id": str(message.pk)})
    assert (bytes(message.body), message.status, message.attempts) == (body, "received", 0)
    assert queued == [str(message.pk)]
    integration.refresh_from_db()
    assert integration.last_seen_at == message.created_at


def test_a_worker_records_what_the_message_tells(business, queued):
    member = MemberFactory(phone="+79260000010")
    integration, secret = connect(business)
    tell(integration, secret, sale())

    assert apply_crm_message(queued[0]) == "applied"

    purchase = Transaction.objects.get()
    assert (purchase.member_id, purchase.amount, purchase.source) == (member.pk, D("1000.00"), "crm")
    message = CrmMessage.objects.get()
    assert message.reference == "c-1"
    assert message.results[0]["transaction"] == str(purchase.pk)
    assert apply_crm_message(queued[0]) is None


def test_a_repeat_gets_the_first_messages_id_and_stores_nothing(business, queued):
    integration, secret = connect(business)
    ids = {tell(integration, secret, sale()).json()["id"] for _ in range(3)}
    # A retry of the Standard Webhooks has a new timestamp.
    later = timezone.now() + timedelta(minutes=2)
    ids.add(send(integration, BODY, standard(secret, BODY, at=later)).json()["id"])

    assert ids == {str(CrmMessage.objects.get().pk)}
    # Another name or another body is another message.
    tell(integration, secret, sale(), name="m-2")
    tell(integration, secret, sale(sum=5))
    assert CrmMessage.objects.count() == 3


def test_without_redis_the_message_is_kept_all_the_same(business, monkeypatch):
    from kombu.exceptions import OperationalError

    def away(_message):
        raise OperationalError

    monkeypatch.setattr(apply_crm_message, "delay", away)
    integration, secret = connect(business)

    assert tell(integration, secret, sale()).status_code == 202
    assert CrmMessage.objects.get().next_attempt_at is not None


def test_old_and_new_secret_are_accepted_for_a_day(business, queued):
    integration, old = connect(business)
    at = timezone.now()
    new = change_secret(integration.pk, at=at)

    assert tell(integration, old, sale(), name="1").status_code == 202
    assert tell(integration, new, sale(), name="2").status_code == 202
    CrmIntegration.objects.update(old_secret_until=at)
    assert tell(integration, old, sale(), name="3").status_code == 401
    assert tell(integration, new, sale(), name="4").status_code == 202
    # Nothing that opens anything stands in the table.
    integration.refresh_from_db()
    assert old.encode() not in bytes(integration.old_secret)
    assert new.encode() not in bytes(integration.secret)


def test_unknown_switched_off_and_closed_are_alike(business, queued):
    integration, secret = connect(business)
    foreign, _ = connect(BusinessFactory())
    absent = CrmIntegration(pk=ABSENT)

    answers = [tell(absent, secret, sale())]
    CrmIntegration.objects.filter(pk=integration.pk).update(is_active=False)
    answers.append(tell(integration, secret, sale()))
    CrmIntegration.objects.filter(pk=integration.pk).update(is_active=True)
    type(business).objects.filter(pk=business.pk).update(is_active=False)
    answers.append(tell(integration, secret, sale()))

    assert [refusal(answer)[:2] for answer in answers] == [(404, "not_found")] * 3
    assert len({answer.json()["detail"] for answer in answers}) == 1
    # Another business's secret opens nothing.
    assert tell(foreign, secret, sale()).status_code == 401
    assert not CrmMessage.objects.exists()


def test_a_body_beyond_the_limit_is_refused_before_it_is_looked_at(business, queued):
    integration, secret = connect(business)
    body = b"[" + b" " * 1024 * 1024 + b"]"

    assert refusal(send(integration, body, standard(secret, body)))[:2] == (413, "too_large")
    body = body[: 1024 * 1024]
    assert send(integration, body, standard(secret, body)).status_code == 202
    assert CrmMessage.objects.count() == 1


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "", "x", "multipart/form-data"]
)
def test_whatever_the_body_calls_itself_its_bytes_are_kept(business, queued, content_type):
    integration, secret = connect(business)
    body = b"event=ONCRMDEALADD&data%5BID%5D=1"
    from tests.api import Caller

    answer = Caller().send(
        "POST", f"crm/{integration.pk}/events", body, content_type, **standard(secret, body)
    )

    assert answer.status_code == 202, answer.content
    assert bytes(CrmMessage.objects.get().body) == body


# --- Bad signatures -------------------------------------------------------------------------------------


def raw_hmac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()


def corpus(secret: str, other: str) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Bodies and headers that must not open anything; each is one step away from a good one."""
    now = timezone.now()
    good, plain = standard(secret, BODY), simple(secret, BODY)
    signature, stamp, name = good["webhook-signature"], good["webhook-timestamp"], good["webhook-id"]
    hexes = plain["X-Signature"].removeprefix("sha256=")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{name}.{stamp}.".encode() + BODY

    def std(**changed: str | None) -> dict[str, str]:
        names = {"id": "webhook-id", "time": "webhook-timestamp", "sign": "webhook-signature"}
        headers = good | {names[each]: value for each, value in changed.items()}
        return {each: value for each, value in headers.items() if value is not None}

    def smp(**changed: str | None) -> dict[str, str]:
        names = {"time": "X-Timestamp", "sign": "X-Signature"}
        headers = plain | {names[each]: value for each, value in changed.items()}
        return {each: value for each, value in headers.items() if value is not None}

    def coded(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    changed = bytearray(BODY)
    changed[-2] ^= 1
    return {
        "nothing": (BODY, {}),
        "wrong key": (BODY, standard(other, BODY)),
        "wrong key, simple": (BODY, simple(other, BODY)),
        "body changed by a bit": (bytes(changed), good),
        "body changed by a bit, simple": (bytes(changed), plain),
        "body with a space more": (BODY + b" ", good),
        "body cut": (BODY[:-1], plain),
        "body empty": (b"", good),
        "same JSON, spelt otherwise": (json.dumps(sale(), indent=1).encode(), good),
        "no id": (BODY, std(id=None)),
        "no timestamp": (BODY, std(time=None)),
        "no signature": (BODY, std(sign=None)),
        "empty id": (BODY, std(id="")),
        "empty timestamp": (BODY, std(time="")),
        "empty signature": (BODY, std(sign="")),
        "other id": (BODY, std(id="m-2")),
        "id with a space": (BODY, std(id="m 1")),
        "id in unicode": (BODY, std(id="м-1")),
        "id too long": (BODY, standard(secret, BODY, name="x" * 201)),
        "other timestamp": (BODY, std(time=str(int(stamp) + 1))),
        "timestamp with a plus": (BODY, std(time="+" + stamp)),
        "timestamp with a nought": (BODY, std(time="0" + stamp)),
        "timestamp with a fraction": (BODY, std(time=stamp + ".0")),
        "timestamp in milliseconds": (BODY, std(time=stamp + "000")),
        "timestamp of other digits": (BODY, std(time="١" * 10)),
        "timestamp as a date": (BODY, std(time=now.isoformat())),
        "timestamp below zero": (BODY, std(time="-" + stamp)),
        "timestamp beyond any year": (BODY, std(time="9" * 400)),
        "too old": (BODY, standard(secret, BODY, at=now - timedelta(seconds=302))),
        "too old, simple": (BODY, simple(secret, BODY, at=now - timedelta(seconds=302))),
        "of the future": (BODY, standard(secret, BODY, at=now + timedelta(seconds=310))),
        "of the future, simple": (BODY, simple(secret, BODY, at=now + timedelta(seconds=310))),
        "signature cut": (BODY, std(sign=signature[:-2])),
        "signature cut to nothing": (BODY, std(sign="v1,")),
        "signature without its version": (BODY, std(sign=signature[3:])),
        "signature in other case": (BODY, std(sign="v1," + signature[3:].swapcase())),
        "version in other case": (BODY, std(sign="V1" + signature[2:])),
        "another version": (BODY, std(sign="v1a" + signature[2:])),
        "base64 without its end": (BODY, std(sign=signature.rstrip("="))),
        "base64 of addresses": (BODY, std(sign="v1," + base64.urlsafe_b64encode(b"\xff" * 32).decode())),
        "hex where base64 belongs": (BODY, std(sign="v1," + raw_hmac(key, content).hex())),
        "base64 of hex": (BODY, std(sign="v1," + coded(raw_hmac(key, content).hex().encode()))),
        "two joined by a comma": (BODY, std(sign=f"{signature},{signature}")),
        "two joined by two spaces": (BODY, std(sign=f"{signature}  {signature}")),
        "eleven": (BODY, std(sign=" ".join(["v1," + coded(b"x" * 32)] * 10 + [signature]))),
        "signature in unicode": (BODY, std(sign="v1," + "ы" * 43 + "=")),
        "signed by the secret's text": (BODY, std(sign="v1," + coded(raw_hmac(secret.encode(), content)))),
        "signed without the id": (BODY, std(sign="v1," + coded(raw_hmac(key, f"{stamp}.".encode() + BODY)))),
        "signed without anything": (BODY, std(sign="v1," + coded(raw_hmac(key, BODY)))),
        "sha1": (BODY, std(sign="v1," + coded(hmac.new(key, content, hashlib.sha1).digest()))),
        "sha512": (BODY, std(sign="v1," + coded(hmac.new(key, content, hashlib.sha512).digest()))),
        "unkeyed": (BODY, std(sign="v1," + coded(hashlib.sha256(content).digest()))),
        "simple: no timestamp": (BODY, smp(time=None)),
        "simple: no signature": (BODY, smp(sign=None)),
        "simple: other timestamp": (BODY, smp(time=str(int(plain["X-Timestamp"]) - 1))),
        "simple: upper case": (BODY, smp(sign="sha256=" + hexes.upper())),
        "simple: algorithm in upper case": (BODY, smp(sign="SHA256=" + hexes)),
        "simple: another algorithm": (BODY, smp(sign="sha1=" + hexes[:40])),
        "simple: without the algorithm": (BODY, smp(sign=hexes)),
        "simple: cut": (BODY, smp(sign="sha256=" + hexes[:-1])),
        "simple: base64 where hex belongs": (BODY, smp(sign="sha256=" + coded(bytes.fromhex(hexes)))),
        "simple: joined by a comma": (BODY, smp(sign=f"sha256={hexes}, sha256={hexes}")),
        "simple: signed by the raw key": (
            BODY,
            smp(sign="sha256=" + raw_hmac(key, f"{plain['X-Timestamp']}.".encode() + BODY).hex()),
        ),
        "simple: body alone": (BODY, smp(sign="sha256=" + raw_hmac(secret.encode(), BODY).hex())),
        "both ways at once": (BODY, good | plain),
        "one way and a half": (BODY, good | {"X-Timestamp": plain["X-Timestamp"]}),
        "an API key instead": (BODY, {"Authorization": f"Api-Key {secret}"}),
        "the secret itself": (BODY, std(sign=f"v1,{secret.removeprefix('whsec_')}")),
    }  # fmt: skip


def test_no_bad_signature_opens_anything(business, queued):
    integration, secret = connect(business)
    _, other = connect(BusinessFactory())
    bad = corpus(secret, other)

    answers = {name: send(integration, *case) for name, case in bad.items()}

    assert len(bad) >= 60
    wrong = {name: answer.status_code for name, answer in answers.items() if answer.status_code != 401}
    assert wrong == {}
    assert {refusal(answer)[1] for answer in answers.values()} == {"not_authenticated"}
    assert (CrmMessage.objects.count(), queued) == (0, [])
    integration.refresh_from_db()
    assert (integration.last_seen_at, integration.last_error) == (None, "")
    assert refused_lately(integration, at=timezone.now()) == len(bad)
    # And the good ones are good.
    assert send(integration, BODY, standard(secret, BODY)).status_code == 202
    assert send(integration, BODY, simple(secret, BODY)).status_code == 202
    several = standard(secret, BODY, name="m-3")
    several["webhook-signature"] = "v1a,abc " + several["webhook-signature"]
    assert send(integration, BODY, several).status_code == 202


def test_every_secret_is_compared_to_its_end(business, monkeypatch):
    """Whether the first or the last fits, each of the given is compared with each of ours."""
    integration, old = connect(business)
    change_secret(integration.pk, at=timezone.now())
    integration.refresh_from_db()
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda *pair: compared.append(pair) or compare(*pair))

    for secret in (old, integrations.secrets_of(integration, at=timezone.now())[0]):
        compared.clear()
        assert send(integration, BODY, standard(secret, BODY, name=secret[:20])).status_code == 202
        assert len(compared) == 2
