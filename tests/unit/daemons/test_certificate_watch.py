from __future__ import annotations

from daemons.certificate_watch import CertificateWatch
from daemons.events import CertificateExpired, CertificateExpiring, CertificateLoaded
from tests.unit.daemons.credentials import made
from tsproto.identity import fingerprint, show_fingerprint

NOW = 1_800_000_000
DAY = 86_400
ENDS = NOW + 365 * DAY
RENEW = "run `tsfarm pki renew ls1`, and send the daemon SIGHUP"
CERTIFICATE = made("ls1", NOW).certificate


def expiring(days_left: int) -> CertificateExpiring:
    return CertificateExpiring(expires_at=ENDS, days_left=days_left, next_step=RENEW)


def test_at_the_start_a_daemon_says_how_long_its_certificate_is_valid() -> None:
    loaded = CertificateLoaded(
        fingerprint=show_fingerprint(fingerprint(CERTIFICATE)),
        addresses=["ls1", "ls.example"],
        expires_at=ENDS,
        days_left=365,
    )
    assert CertificateWatch("ls1", CERTIFICATE).loaded(NOW) == [loaded]


def test_a_warning_comes_thirty_days_before_the_end_and_no_sooner() -> None:
    watch = CertificateWatch("ls1", CERTIFICATE)
    assert watch.next_deadline() == ENDS - 30 * DAY
    assert watch.on_deadline(ENDS - 30 * DAY - 1) == []
    assert watch.on_deadline(ENDS - 30 * DAY) == [expiring(30)]


def test_it_comes_at_the_start_too_and_then_once_a_day() -> None:
    watch = CertificateWatch("ls1", CERTIFICATE)
    now = ENDS - 5 * DAY - 100
    assert watch.loaded(now)[1:] == [expiring(5)]
    assert watch.on_deadline(now + DAY - 1) == []
    assert watch.next_deadline() == now + DAY
    assert watch.on_deadline(now + DAY) == [expiring(4)]


def test_a_year_brings_thirty_warnings_and_an_error_at_the_end_and_each_day_after() -> None:
    watch, said = CertificateWatch("ls1", CERTIFICATE), []
    watch.loaded(NOW)
    while watch.next_deadline() <= ENDS + 2 * DAY:
        said += watch.on_deadline(watch.next_deadline())
    assert said[:30] == [expiring(left) for left in range(30, 0, -1)]
    assert said[30:] == [CertificateExpired(expires_at=ENDS, next_step=RENEW)] * 3


def test_a_clock_that_was_set_far_ahead_brings_one_warning() -> None:
    watch = CertificateWatch("ls1", CERTIFICATE)
    assert watch.on_deadline(ENDS - 10 * DAY) == [expiring(10)]
    assert watch.on_deadline(ENDS - 10 * DAY + 1) == []
