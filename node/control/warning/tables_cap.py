"""Values of CAP 1.2 (OASIS, 1 July 2010, section 3.2) that decide what a document orders."""

from typing import Final

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "status": ("Actual", "Exercise", "System", "Test", "Draft"),
    "msgType": ("Alert", "Update", "Cancel", "Ack", "Error"),
    "scope": ("Public", "Restricted", "Private"),
    "urgency": ("Immediate", "Expected", "Future", "Past", "Unknown"),
    "severity": ("Extreme", "Severe", "Moderate", "Minor", "Unknown"),
    "certainty": ("Observed", "Likely", "Possible", "Unlikely", "Unknown"),
}

OLD_VALUES: Final = {("certainty", "very likely"): "Likely"}
"""Of CAP 1.0: "for backward compatibility ... treat as equivalent to" (section 3.2.2)."""
