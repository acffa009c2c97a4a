"""The wordings of labels for which there are patterns."""

import pytest

from gliner_distill.patterns.labels import FINDERS, pattern_for, structured_labels


@pytest.mark.parametrize(
    ("kind", "wordings"),
    [
        ("email", "email|E-Mail|email address|e-mail addresses|EMAIL_ADDRESS|Emails|mail address"),
        ("url", "url|URLs|link|links|website|Web site|website address|hyperlink|web address"),
        ("ip", "ip|IP address|IP_ADDRESS|ip addresses"),
        ("ipv4", "IPv4|IPv4 address"),
        ("ipv6", "IPv6|IPv6 addresses"),
        ("mac", "MAC address|mac_address|hardware address"),
        ("iban", "IBAN|IBAN_CODE|iban number|bank account number"),
        ("card", "credit card number|CREDIT_CARD|card number|credit cards|debit card number"),
    ],
)
def test_pattern_for_knows_the_wordings_of_a_kind(kind, wordings):
    assert {wording: pattern_for(wording) for wording in wordings.split("|")} == dict.fromkeys(
        wordings.split("|"), kind
    )
    assert kind in FINDERS


@pytest.mark.parametrize(
    "label",
    [
        *(
            "person",
            "phone number",
            "physical address",
            "address",
            "mac",
            "domain name",
            "",
            "+",
            "s",
        ),
        *("sender email", "email subject", "library card number", "news website", "account number"),
    ],
)
def test_pattern_for_leaves_other_labels_to_the_model(label):
    assert pattern_for(label) is None


def test_structured_labels_reads_the_description_of_a_label_of_another_name():
    prompts = [("Kontakt", "e-mail address"), ("link", "a note"), ("person", "person")]
    assert structured_labels(prompts) == {"Kontakt": "email", "link": "url"}
