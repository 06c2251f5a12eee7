"""STS and IAM of moto, and a judge of signatures by botocore.

POST /             STS and IAM. Only the first ALONE requests need no signature: a caller's token is its proof
POST /roles        lets the role of this name do everything: {"name"}
POST /alone        how many requests from now on need no signature: {"count"}
GET  /assumed      the sessions of roles so far: [{"role", "session", "secrets"}]
POST /judge        whether a request is signed as botocore signs it: {"method", "url", "headers": [[name, value]], "body"}
                   with the body in base64. Answers {"role", "session", "right", "signed"}, or {"wrong": why}
POST /refuses      an STS that refuses, and repeats what it was sent
"""

import base64
import json
import os
import sys
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

# The keys of moto's own boto3, which it wants but never shows to anybody.
os.environ.setdefault("AWS_ACCESS_KEY_ID", "moto")
os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "moto")

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto import settings
from moto.core.responses import ActionAuthenticatorMixin
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.sts.models import sts_backends
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"
ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
MUST_BE_SIGNED = {"host", "x-amz-date", "x-amz-security-token"}


def assumed():
    backends = [backend for account in sts_backends.values() for backend in account.values()]
    return [role for backend in backends for role in backend.assumed_roles]


def roles(asked):
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_role(asked["name"], "{}", "/", None, "", [], 3600)
    iam.put_role_policy(asked["name"], "all", json.dumps(ALLOWED))
    return {}


def alone(asked):
    settings.INITIAL_NO_AUTH_ACTION_COUNT = asked["count"]
    ActionAuthenticatorMixin.request_count = 0
    return {}


def judge(asked):
    headers = {name.lower(): value for name, value in asked["headers"]}
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        return {"wrong": f"it is not signed, but shows {kind!r}"}
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    key, date, region, service, _ = parts["Credential"].split("/")
    signed = parts["SignedHeaders"].split(";")
    role = next((role for role in assumed() if role.access_key_id == key), None)
    if role is None:
        return {"wrong": f"nobody was given the key {key}"}
    if not MUST_BE_SIGNED <= set(signed):
        return {"wrong": f"only {signed} are signed"}
    if headers["x-amz-security-token"] != role.session_token:
        return {"wrong": "the token is that of another session"}
    if headers["x-amz-date"][:8] != date:
        return {"wrong": "it is signed for another day"}
    request = AWSRequest(
        method=asked["method"],
        url=asked["url"],
        data=base64.b64decode(asked["body"]),
        headers={name: headers[name] for name in signed},
    )
    request.context["timestamp"] = headers["x-amz-date"]
    keys = Credentials(key, role.secret_access_key, role.session_token)
    by = SigV4Auth(keys, service, region)
    signature = by.signature(by.string_to_sign(request, by.canonical_request(request)), request)
    return {
        "role": role.role_arn,
        "session": role.session_name,
        "right": signature == parts["Signature"],
        "for": f"{service} in {region}",
    }


def refuses(form):
    token = parse_qs(form.decode())["WebIdentityToken"][0]
    return (
        "<ErrorResponse><Error><Code>InvalidIdentityToken</Code>"
        f"<Message>no provider has given {escape(token)}</Message></Error></ErrorResponse>"
    )


def answer(environ, start):
    path = environ["PATH_INFO"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if path == "/refuses":
        start("400 Bad Request", [("Content-Type", "text/xml")])
        return [refuses(body).encode()]
    if path == "/assumed":
        said = [
            {
                "role": role.role_arn,
                "session": role.session_name,
                "secrets": [role.secret_access_key, role.session_token],
            }
            for role in assumed()
        ]
    else:
        said = {"/roles": roles, "/alone": alone, "/judge": judge}[path](json.loads(body))
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]


class Quiet(WSGIRequestHandler):
    def log_request(self, *_args):
        pass


def main():
    aws = DomainDispatcherApplication(create_backend_app)
    own = {"/roles", "/alone", "/assumed", "/judge", "/refuses"}

    def either(environ, start):
        if environ["PATH_INFO"] == "/" and "json" in environ.get("HTTP_ACCEPT", ""):
            # AWS's own answers with JSON where that is asked for, and moto does not.
            start("406 Not Acceptable", [("Content-Type", "text/plain")])
            return [b"moto answers with XML only"]
        return (answer if environ["PATH_INFO"] in own else aws)(environ, start)

    server = make_server("127.0.0.1", int(sys.argv[1]), either, threaded=True, request_handler=Quiet)
    server.serve_forever()


main()
