"""The labels that are redacted unless others are asked."""

from typing import Final

PERSONAL_LABELS: Final = (
    "person",
    "email address",
    "phone number",
    "street address",
    "date of birth",
    "credit card number",
    "IBAN",
    "bank account number",
    "social security number",
    "passport number",
    "driver's license number",
    "username",
    "password",
    "URL",
    "IP address",
    "MAC address",
)
"""Types of personal data that identify or reach a person, in the wordings that a student knows."""
