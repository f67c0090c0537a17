"""Calls every operation of AWS's AI services that botocore has on an endpoint, with the least input that is valid.

    sweep.py URL ACCESS_KEY SECRET CLIENT...

It prints a JSON object a line for each call: client, operation, request (its id, as the client saw it), code (of the error,
or ""), modelled (the error is the operation's or one that all services have), problem (why the client could not read the
answer, or ""), streamed (an event stream came) and events (how many were read of it).

What calls answer of ids, names and ARNs is given to later calls as members of the same name, so that resources made are
read, changed and deleted. Operations that make come first, those that delete last.
"""

import concurrent.futures
import datetime
import io
import json
import random
import re
import sys
import threading

try:
    import re._parser as sre_parse
except ImportError:
    import sre_parse

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

# Errors that any AWS service answers with:
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
COMMON = {
    "AccessDenied", "AccessDeniedException", "InternalFailure", "InternalServerException", "SerializationException",
    "ServiceUnavailable", "ThrottlingException", "ValidationError", "ValidationException",
}


def sample(pattern, rng):
    """Texts that the pattern may match."""
    for repeat in (8, 4, 2, 1, 0, 12, 20, 35, 36, 64):
        try:
            tree = sre_parse.parse(re.sub(r"\(\?[!=][^)]*\)|\(\?<[!=][^)]*\)", "", pattern.replace("\\p{L}\\p{Z}\\p{N}", "a-z").replace("?+", "?")))
        except (re.error, OverflowError):
            return
        out = []
        write(tree, rng, repeat, out)
        yield "".join(out)


def write(tree, rng, repeat, out):
    for op, arg in tree:
        name = str(op)
        if name == "LITERAL":
            out.append(chr(arg))
        elif name == "NOT_LITERAL":
            out.append("a" if arg != ord("a") else "b")
        elif name == "ANY":
            out.append(rng.choice("abcdefgh"))
        elif name == "IN":
            out.append(pick(arg, rng))
        elif name == "BRANCH":
            write(arg[1][repeat % len(arg[1]) if repeat in (1, 2, 4) else 0], rng, repeat, out)
        elif name == "SUBPATTERN":
            write(arg[-1], rng, repeat, out)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, sub = arg
            simple = str(sub[0][0]) in ("IN", "ANY", "LITERAL", "NOT_LITERAL") and len(sub) == 1
            n = min(max(low, repeat if simple else low), int(high))
            for _ in range(n):
                write(sub, rng, repeat, out)


def pick(items, rng):
    def within(ch):
        hit, negate = False, False
        for op, arg in items:
            name = str(op)
            if name == "NEGATE":
                negate = True
            elif name == "LITERAL":
                hit |= ord(ch) == arg
            elif name == "RANGE":
                hit |= arg[0] <= ord(ch) <= arg[1]
            elif name == "CATEGORY":
                kind = str(arg)
                hit |= {"CATEGORY_DIGIT": ch.isdigit(), "CATEGORY_WORD": ch.isalnum() or ch == "_", "CATEGORY_SPACE": ch.isspace(),
                        "CATEGORY_NOT_DIGIT": not ch.isdigit(), "CATEGORY_NOT_WORD": not (ch.isalnum() or ch == "_"),
                        "CATEGORY_NOT_SPACE": not ch.isspace()}.get(kind, False)
        return hit != negate

    for alphabet in ("abcdefghijklmnopqrstuvwxyz0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "".join(map(chr, range(32, 127)))):
        fit = [ch for ch in alphabet if within(ch)]
        if fit:
            return rng.choice(fit)
    return "a"


# Values for members that are more than their shapes say.
USUAL = {
    "modelid": ["amazon.nova-lite-v1:0"], "modelidentifier": ["amazon.nova-lite-v1:0"], "sourcelanguagecode": ["en"], "targetlanguagecode": ["de"],
    "languagecode": ["en", "en-US"],
}

# Members that an operation needs although its model doesn't require them.
SAID = [{"role": "user", "content": [{"text": "sweep"}]}]
SPOKEN = json.dumps({"messages": SAID}).encode()
NEEDED = {
    ("bedrock-runtime", "Converse"): {"messages": SAID},
    ("bedrock-runtime", "ConverseStream"): {"messages": SAID},
    ("bedrock-runtime", "CountTokens"): {"input": {"converse": {"messages": SAID}}},
    ("bedrock-runtime", "InvokeModel"): {"body": SPOKEN},
    ("bedrock-runtime", "InvokeModelWithResponseStream"): {"body": SPOKEN},
    ("bedrock", "CreateGuardrail"): {"wordPolicyConfig": {"wordsConfig": [{"text": "sweep"}]}},
    ("bedrock", "UpdateGuardrail"): {"wordPolicyConfig": {"wordsConfig": [{"text": "sweep"}]}},
    ("comprehend", "CreateEndpoint"): {"ModelArn": "arn:aws:comprehend:us-east-1:111122223333:document-classifier/sweep"},
    ("comprehend", "ClassifyDocument"): {"Text": "sweep"},
    ("comprehend", "DetectEntities"): {"Text": "sweep", "LanguageCode": "en"},
    ("lex-models", "TagResource"): {"resourceArn": "arn:aws:lex:us-east-1:111122223333:bot:sweep"},
    ("lex-models", "UntagResource"): {"resourceArn": "arn:aws:lex:us-east-1:111122223333:bot:sweep"},
    ("lex-models", "ListTagsForResource"): {"resourceArn": "arn:aws:lex:us-east-1:111122223333:bot:sweep"},
}


def split(name):
    """botaliasidentifier is botalias and id; the end is "" where the name is no resource's."""
    match = re.search(r"(identifier|id|arn|name)$", name)
    if not match:
        return name, ""
    return name[:match.start()], match.group().replace("identifier", "id")


class Inputs:
    """Makes the least valid input of operations, with what earlier calls answered."""

    def __init__(self, seed, url):
        self.rng = random.Random(seed)
        self.url = url
        self.noun = ""
        self.seen = {}

    def about(self, operation):
        """Says which resource the next input and answer are about: GetBotAlias is about a botalias."""
        self.noun = re.sub(r"^[A-Z][a-z]+", "", operation).lower()

    def learn(self, value, answered):
        if isinstance(value, dict):
            for k, v in value.items():
                k = k.lower()
                if isinstance(v, str) and re.search(r"(id|arn|name|identifier|version)$", k):
                    if k.endswith("arn") and answered:
                        self.seen["resourcearn"] = v
                    stem, end = split(k)
                    self.seen[self.noun, stem + end] = v
                    if stem == "" or self.noun.endswith(stem):
                        self.seen[self.noun + end] = self.seen[self.noun, end] = v
                    else:
                        self.seen.setdefault(k, v)
                else:
                    self.learn(v, answered)
        elif isinstance(value, list):
            for v in value:
                self.learn(v, answered)

    def known(self, name):
        """Values that a member may have because earlier calls spoke of them."""
        stem, end = split(name.lower())
        keys = [(self.noun, stem + end), name.lower()]
        if end and (stem == "" or self.noun.endswith(stem)):
            keys += [(self.noun, e) for e in (end, "id", "arn", "name")]
        elif end:
            keys += [stem + e for e in (end, "id", "arn", "name")]
        for k in keys:
            if k in self.seen:
                yield self.seen[k]

    def structure(self, shape, depth=0):
        if getattr(shape, "is_tagged_union", False):
            for name, member in sorted(shape.members.items(), key=lambda m: m[1].type_name == "structure"):
                if depth < 8 or member.type_name != "structure":
                    return {name: self.value(member, name, depth + 1)}
        return {n: self.value(shape.members[n], n, depth + 1) for n in shape.required_members if not shape.members[n].serialization.get("eventstream")}

    def value(self, shape, name, depth):
        meta = shape.metadata
        low, high = meta.get("min"), meta.get("max")
        kind = shape.type_name
        if getattr(shape, "is_document_type", False):
            return {}
        if kind == "structure":
            return self.structure(shape, depth) if depth < 14 else {}
        if kind == "list":
            return [self.value(shape.member, name, depth + 1) for _ in range(max(low or 0, 1 if depth < 10 else 0))]
        if kind == "map":
            return {self.text(shape.key, name, i): self.value(shape.value, name, depth + 1) for i in range(max(low or 0, 1 if depth < 10 else 0))}
        if kind == "boolean":
            return True
        if kind in ("integer", "long"):
            return max(int(low or 0), min(1, int(high if high is not None else 1)))
        if kind in ("float", "double"):
            return float(low if low is not None else 0.5)
        if kind == "timestamp":
            return datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        if kind == "blob":
            return io.BytesIO(b"{}") if shape.serialization.get("streaming") else b"{}" + b" " * max(0, (low or 0) - 2)
        return self.text(shape, name)

    def text(self, shape, name, unlike=0):
        if shape.enum:
            return shape.enum[min(unlike, len(shape.enum) - 1)]
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 1 << 20)
        pattern = shape.metadata.get("pattern")
        compiled = None
        if pattern:
            try:
                compiled = re.compile("(?:" + pattern + r")\Z")
            except re.error:
                pass

        def fits(text):
            return max(low, 1) <= len(text) <= high and (not compiled or compiled.match(text))

        if name == "PredictEndpoint":
            return self.url  # the client calls it, whatever it is
        tries = [] if unlike else list(self.known(name)) + USUAL.get(name.lower(), [])
        lower = name.lower()
        if lower.endswith("arn"):
            tries.append("arn:aws:iam::111122223333:role/sweep")
        if "json" in lower or lower.endswith(("policy", "schema", "body", "document")):
            tries.append("{}")
        if not pattern or not compiled:
            tries += ["sweep", "sweep-" + "".join(self.rng.choice("abcdef0123456789") for _ in range(6)), "a" * max(low, 1)]
        else:
            tries += list(sample(pattern, self.rng))
        tries += ["x" * low if low else "x"]
        for t in tries:
            if fits(t):
                return t
        return tries[-1]


def order(name):
    for n, verbs in enumerate((("Create", "Start", "Register", "Put"), ("Stop", "Cancel", "Untag"), ("Delete", "Deregister", "Remove", "Disassociate"))):
        if name.startswith(verbs):
            return (0, 2, 3)[n]
    return 1


def drain(value):
    """Reads the streams of an answer. It returns how many events came, or None when there was no event stream."""
    events = None
    for v in value.values():
        if hasattr(v, "_event_generator") or type(v).__name__ == "EventStream":
            events = 0
            for _ in v:
                events += 1
        elif hasattr(v, "read"):
            v.read()
    return events


def sweep(client_name, url, key, secret):
    session = botocore.session.Session()
    client = session.create_client(
        client_name, region_name="us-east-1", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False, read_timeout=20, connect_timeout=5),
    )
    inputs = Inputs(client_name, url)
    results = []
    service = client.meta.service_model

    def turn(name):
        """When an operation is called: what others are made in is made first."""
        model = service.operation_model(name)
        named = [m for m in (model.input_shape.required_members if model.input_shape else []) if re.search(r"(?i)(id|identifier|arn|name)$", m)]
        noun = re.sub(r"^[A-Z][a-z]+", "", name).lower()
        named = [m for m in named if not noun.endswith(split(m.lower())[0])]
        named = [m for m in named if not re.search(r"(?i)(role|key|aws.*|policy)(id|arn)$", m)]
        return order(name), -len(named) if order(name) == 3 else len(named), name

    queue = sorted(service.operation_names, key=turn)
    makers = sum(order(n) == 0 for n in queue)
    again = set()
    while queue:
        operation = queue.pop(0)
        makers -= 1
        method = getattr(client, xform_name(operation), None)
        if method is None:
            continue  # botocore leaves out what needs HTTP/2
        model = service.operation_model(operation)
        result = {"client": client_name, "operation": operation, "request": "", "code": "", "modelled": True, "problem": "", "streamed": False}
        results.append(result)
        inputs.about(operation)
        try:
            params = inputs.structure(model.input_shape) if model.input_shape else {}
            params.update(NEEDED.get((client_name, operation), {}))
            answer = method(**params)
            result["request"] = answer["ResponseMetadata"].get("RequestId", "")
            events = drain({k: v for k, v in answer.items() if k != "ResponseMetadata"})
            result["streamed"] = events is not None
            if events == 0:
                result["problem"] = "no event came"
            if order(operation) == 0:
                inputs.learn(params, False)
                inputs.learn({k: v for k, v in answer.items() if k != "ResponseMetadata"}, True)
        except ClientError as e:
            result["request"] = e.response.get("ResponseMetadata", {}).get("RequestId", "")
            result["code"] = e.response.get("Error", {}).get("Code", "")
            result["message"] = e.response.get("Error", {}).get("Message", "")
            codes = {(s.metadata.get("error") or {}).get("code", s.name) for s in model.error_shapes} | {s.name for s in model.error_shapes}
            result["modelled"] = result["code"] in codes | COMMON
            if order(operation) == 0 and "NotFound" in result["code"] and operation not in again and makers > 0:
                # What it needs may be made by an operation that comes later.
                again.add(operation)
                queue.insert(makers, operation)
                makers += 1
                results.pop()
        except Exception as e:
            result["problem"] = f"{type(e).__name__}: {e}"[:500]
    return results


def main():
    url, key, secret, *clients = sys.argv[1:]
    there = botocore.session.Session().get_available_services()
    lock = threading.Lock()

    def one(name):
        results = sweep(name, url, key, secret)
        with lock:
            for r in results:
                print(json.dumps(r), flush=True)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(one, c) for c in clients if c in there]:
            done.result()


main()
