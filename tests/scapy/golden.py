"""STAMP as scapy and Python's own HMAC see it.

`golden.py encode` prints packets, `name hexadecimal` on each line. `golden.py decode` reads replies in
hexadecimal from standard input, one on each line, and prints the fields of each as JSON.
"""

import hashlib
import hmac
import json
import struct
import sys

from scapy.contrib.stamp import (
    ErrorEstimate,
    STAMPSessionReflectorTestUnauthenticated,
    STAMPSessionSenderTestUnauthenticated,
    STAMPTestTLV,
)

SECRET = bytes([0x5A] * 32)
T1 = 0xEE000000 + 0.25
T2 = 0xEE000001 + 0.5
T3 = 0xEE000001 + 0.75


def error_estimate():
    return ErrorEstimate(S=1, Z=0, scale=12, multiplier=34)


def tlv(kind, value, flags=0x80):
    return STAMPTestTLV(flags=flags, type=kind, len=len(value), value=value)


TLVS = [
    tlv(1, b"\xaa\xbb\xcc"),  # Extra Padding
    tlv(3, bytes(4)),  # Timestamp Information
    tlv(4, struct.pack("!I", 46 << 26)),  # Class of Service: EF
    tlv(5, struct.pack("!III", 8, 0, 0)),  # Direct Measurement
    tlv(240, b"\1\2\3\4\5"),  # nobody's
]


def request(tlvs=()):
    return bytes(
        STAMPSessionSenderTestUnauthenticated(
            seq=7, ts=T1, err_estimate=error_estimate(), ssid=0x1234, tlv_objects=list(tlvs)
        )
    )


def reply():
    return bytes(
        STAMPSessionReflectorTestUnauthenticated(
            seq=9,
            ts=T3,
            err_estimate=error_estimate(),
            ssid=0x1234,
            ts_rx=T2,
            seq_sender=7,
            ts_sender=T1,
            err_estimate_sender=error_estimate(),
            ttl_sender=253,
        )
    )


def signed(blocks):
    """RFC 8762, section 4.4: scapy has no layer for authenticated packets."""
    assert len(blocks) == 96
    return blocks + hmac.new(SECRET, blocks, hashlib.sha256).digest()[:16]


def authenticated_request():
    plain = request()
    number, rest, ssid = plain[:4], plain[4:14], plain[14:16]
    return signed((number + bytes(12) + rest + ssid).ljust(96, b"\0"))


def encode():
    packets = {
        "request": request(),
        "request-tlvs": request(TLVS),
        "reply": reply(),
        "authenticated-request": authenticated_request(),
    }
    for name, octets in packets.items():
        print(name, octets.hex())


def fields(octets):
    packet = STAMPSessionReflectorTestUnauthenticated(octets)
    return {
        "seq": packet.seq,
        "t1": float(packet.ts_sender),
        "t2": float(packet.ts_rx),
        "t3": float(packet.ts),
        "ssid": packet.ssid,
        "seq_sender": packet.seq_sender,
        "multiplier_sender": packet.err_estimate_sender.multiplier,
        "ttl_sender": packet.ttl_sender,
        "mbz": packet.mbz1 + packet.mbz2,
        "tlvs": [[int(it.flags), it.type, bytes(it.value).hex()] for it in packet.tlv_objects],
    }


if sys.argv[1:] == ["encode"]:
    encode()
elif sys.argv[1:] == ["decode"]:
    for line in sys.stdin:
        print(json.dumps(fields(bytes.fromhex(line))))
else:
    sys.exit(__doc__)
