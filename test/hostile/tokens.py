"""Tokens good and bad, signed by hand and by the openssl command.

A Keys holds the key pairs of one run.  sign() makes a signature, signer()
finds out by trial who made one: the two share no step but the primitives.
"""
import base64
import hmac
import json
import os
import re
import subprocess

SHORT = "short"             # a secret too short to be used
EC_CURVES = {"es256": ("P-256", 32), "es256b": ("P-256", 32), "es384": ("P-384", 48), "es256k": ("secp256k1", 32)}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    text = text.rstrip("\n")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, capture_output=True)


def der_integers(der):
    """r and s of SEQUENCE { INTEGER r, INTEGER s } of less than 128 bytes."""
    n = der[3]
    r, rest = der[4:4 + n], der[4 + n:]
    return int.from_bytes(r, "big"), int.from_bytes(rest[2:2 + rest[1]], "big")


def der_signature(raw):
    def integer(b):
        b = b.lstrip(b"\0") or b"\0"
        b = b"\0" + b if b[0] & 0x80 else b
        return bytes([2, len(b)]) + b
    half = len(raw) // 2
    body = integer(raw[:half]) + integer(raw[half:])
    return bytes([0x30, len(body)]) + body


class Keys:
    def __init__(self, folder, secret):
        self.folder = folder
        self.secret = secret.encode()
        self.public = {}
        for name in ("rs", *EC_CURVES):
            kind = (["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if name == "rs" else
                    ["EC", "-pkeyopt", "ec_paramgen_curve:" + EC_CURVES[name][0]])
            made = openssl("genpkey", "-algorithm", *kind, "-out", self.path(name))
            assert made.returncode == 0, made.stderr
            self.public[name] = openssl("pkey", "-in", self.path(name), "-pubout", "-out", self.path(name) + ".pub")
            with open(self.path(name) + ".pub") as f:
                self.public[name] = f.read()

    def jwk(self, name, kid, **more):
        """A public key as a member of a JSON Web Key Set."""
        if name == "rs":
            shown = openssl("rsa", "-pubin", "-in", self.path(name) + ".pub", "-noout", "-modulus").stdout
            parts = {"kty": "RSA", "n": b64(bytes.fromhex(shown.decode().strip().split("=")[1])), "e": "AQAB"}
        else:
            curve, size = EC_CURVES[name]
            point = openssl("pkey", "-pubin", "-in", self.path(name) + ".pub", "-outform", "DER").stdout[-2 * size:]
            parts = {"kty": "EC", "crv": curve, "x": b64(point[:size]), "y": b64(point[size:])}
        return dict(parts, kid=kid, **more)

    def path(self, name):
        return os.path.join(self.folder, name)

    def hmac_keys(self):
        return {"secret": self.secret, "empty": b"", "short": SHORT.encode(), "pem": self.public["rs"].encode(),
                "pem-stripped": self.public["rs"].strip().encode()}

    def sign(self, who, digest, text):
        """The signature of `who` with "sha256" and the like, as JOSE writes it."""
        if who == "none":
            return b""
        if who in self.hmac_keys():
            return hmac.new(self.hmac_keys()[who], text, digest).digest()
        key = "rs" if who == "ps" else who
        done = openssl("dgst", "-" + digest, *self.padding(who), "-sign", self.path(key), data=text)
        assert done.returncode == 0, done.stderr
        if who in EC_CURVES:
            size = EC_CURVES[who][1]
            return b"".join(n.to_bytes(size, "big") for n in der_integers(done.stdout))
        return done.stdout

    def signer(self, digest, text, signature):
        """Whose signature it is: a name that sign() takes, or "nobody"."""
        if not signature:
            return "none"
        for who, key in self.hmac_keys().items():
            if hmac.new(key, text, digest).digest() == signature:
                return who
        for who in ("rs", "ps", *EC_CURVES):
            if len(signature) != (256 if who in ("rs", "ps") else 2 * EC_CURVES[who][1]):
                continue
            path = self.path("signature")
            with open(path, "wb") as f:
                f.write(der_signature(signature) if who in EC_CURVES else signature)
            done = openssl("dgst", "-" + digest, *self.padding(who), "-verify",
                           self.path("rs" if who == "ps" else who) + ".pub", "-signature", path, data=text)
            if done.returncode == 0:
                return who
        return "nobody"

    @staticmethod
    def padding(who):
        return ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"] if who == "ps" else []

    # --- whole tokens ---

    def make(self, alg="HS256", signed="secret", exp="4102444800", header=None, claims=None, edit=None, pad="0", **_):
        """
        A token.  alg, exp: as in the JSON; header, claims: the whole JSON; pad: bytes of one more
        claim; edit: see EDITS; signed=nobody:NAME: by that name, though nobody's when edited.
        """
        signed = signed.split(":")[-1]
        signed = "secret" if signed == "nobody" else signed
        header = header if header is not None else '{"typ":"JWT","alg":%s}' % json.dumps(alg)
        claims = claims if claims is not None else '{"sub":"1","exp":%s}' % exp
        if int(pad):
            claims = claims[:-1] + ',"pad":"%s"}' % ("x" * int(pad))
        text = "%s.%s" % (b64(header.encode("latin-1")), b64(claims.encode("latin-1")))
        signature = self.sign(signed, digest_of(alg), text.encode())
        return EDITS[edit](text, signature) if edit else "%s.%s" % (text, b64(signature))

    def read(self, token):
        """What a token is: alg, exp, signed, signature (bytes), parts, token (bytes), and the names of its header."""
        parts = token.split(".")
        facts = {"parts": str(len(parts)), "token": str(len(token))}
        try:
            header, claims, signature = (unb64(p) for p in parts[:3])
            members = json.loads(header, object_pairs_hook=list)
        except ValueError:
            return facts
        alg = next((v for k, v in members if k == "alg"), "")
        exp = re.search(rb'"exp":([^,}]*)', claims)
        facts.update(alg=str(alg), names=",".join(k for k, _ in members), signature=str(len(signature)),
                     exp=exp.group(1).decode() if exp else "",
                     header=header.decode("latin-1"), claims=claims.decode("latin-1"),
                     signed=self.signer(digest_of(str(alg)), ".".join(parts[:2]).encode(), signature))
        return facts


def digest_of(alg):
    return "sha" + (re.findall("384|512", alg) or ["256"])[0]


# What may be done to a token's text and signature.
EDITS = {
    "cut": lambda text, s: "%s.%s" % (text, b64(s[:-1])),
    "longer": lambda text, s: "%s.%s" % (text, b64(s + b"\0")),
    "huge": lambda text, s: "%s.%s" % (text, b64(s + b"\0" * 5000)),
    "zero": lambda text, s: "%s.%s" % (text, b64(bytes(len(s)))),
    "der": lambda text, s: "%s.%s" % (text, b64(der_signature(s))),
    "padded": lambda text, s: "%s.%s=" % (text, b64(s)),
    "slack": lambda text, s: "%s.%s" % (text, b64(s)[:-1] + chr(ord(b64(s)[-1]) + 1)),
    "standard-alphabet": lambda text, s: "%s.%s" % (text, b64(b"\xff" * len(s)).replace("_", "/")),
    "newline": lambda text, s: "%s.%s\n" % (text, b64(s)),
    "one-part": lambda text, s: text.replace(".", ""),
    "no-signature": lambda text, s: text,
    "empty-signature": lambda text, s: text + ".",
    "four-parts": lambda text, s: "%s.%s.%s" % (text, b64(s), b64(s)),
    "five-parts": lambda text, s: "%s.%s.." % (text, b64(s)),
    "other-claims": lambda text, s: "%s.%s.%s" % (text.split(".")[0], b64(b'{"sub":"2"}'), b64(s)),
}
