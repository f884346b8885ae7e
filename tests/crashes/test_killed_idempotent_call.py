"""A web process killed around the commit of a call with an Idempotency-Key: done once, answered once."""

import pytest

from loyalty.models import KeptAnswer
from loyalty.services.api_keys import create_api_key
from promos.models import Quote
from tests.api import Caller
from tests.crashes.test_killed_purchase import post_and_be_cut_off, web_server
from tests.factories import BusinessFactory, MemberFactory
from tests.prove import at_length

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.usefixtures("own_codes"),
]
KILLS = at_length(briefly=3, full=40)
# Whether the first answer was kept when the process died.
POINTS = {"idempotent-before-commit": False, "idempotent-after-commit": True}


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_call_is_done_once(point, proved):
    # A quote: nothing but the key would tell its repeat from a second one.
    key = create_api_key(business=BusinessFactory())[1]
    member = MemberFactory()
    with web_server(point) as port:
        for number in range(KILLS):
            asked = {"member": {"phone": member.phone}, "amount": f"{number + 1}.00"}
            name = {"Idempotency-Key": f"k{number}"}

            post_and_be_cut_off(port, key, asked, "quotes", **name)
            assert Quote.objects.count() == number + POINTS[point]
            repeats = [Caller(f"Api-Key {key}").post("quotes", asked, **name) for _ in range(2)]

            replayed = [answer.headers.get("Idempotent-Replayed") for answer in repeats]
            assert replayed == ["true" if POINTS[point] else None, "true"]
            assert repeats[0].content == repeats[1].content
            assert Quote.objects.count() == KeptAnswer.objects.count() == number + 1
    proved(f"{KILLS} kills")
